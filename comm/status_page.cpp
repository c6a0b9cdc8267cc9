#include "comm/status_page.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr std::int32_t nobody = -1;

using Number = std::atomic<std::int32_t>;
static_assert(Number::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

/// The last op that a stream began.
struct StreamStatus {
  Number op{nobody}, kind{0}, unit{nobody}, running{0};
  std::atomic<std::int32_t> schedule{0};
};

// A process that ended but was not yet waited for still answers kill(pid, 0).
bool is_zombie(std::int32_t pid) {
  StatusLine path;
  path << "/proc/" << pid << "/stat" << std::string_view("\0", 1);
  const int file = open(path.text().data(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[512];
  const ssize_t length = read(file, text, sizeof(text));
  close(file);
  // "pid (name) state ...": the name may hold any character, so look from the end.
  for (ssize_t i = length - 3; i > 0; --i)
    if (text[i] == ')') return text[i + 2] == 'Z' || text[i + 2] == 'X';
  return false;
}

bool is_gone(std::int32_t pid) { return (kill(pid, 0) != 0 && errno == ESRCH) || is_zombie(pid); }

}  // namespace

StatusLine& StatusLine::operator<<(std::string_view text) {
  const std::size_t taken = std::min(text.size(), capacity_bytes - length_);
  std::memcpy(text_ + length_, text.data(), taken);
  length_ += taken;
  return *this;
}

StatusLine& StatusLine::operator<<(std::int64_t number) {
  char digits[24];
  std::size_t at = sizeof(digits);
  std::uint64_t rest = number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  do digits[--at] = static_cast<char>('0' + rest % 10);
  while ((rest /= 10) != 0);
  if (number < 0) digits[--at] = '-';
  return *this << std::string_view(digits + at, sizeof(digits) - at);
}

struct alignas(64) StatusPage::Entry {
  Number pid{0}, rank{nobody}, waiting_for{nobody}, finished{0}, seen{1};
  std::atomic<std::int64_t> step{nobody};
  StreamStatus streams[stream_count];
};

struct StatusPage::Memory {
  alignas(64) Number abort_word{nobody};  // who stops the run
  Number said{0};                         // the node's message
  alignas(64) Entry entries[1];           // one per rank of the node
};

Bytes StatusPage::bytes(int node_size) {
  return static_cast<Bytes>(sizeof(Memory)) + (node_size - 1) * static_cast<Bytes>(sizeof(Entry)) + 64;
}

namespace {

std::byte* aligned(std::byte* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return memory + (64 - address % 64) % 64;
}

}  // namespace

void StatusPage::initialise(std::byte* memory, int node_size) {
  auto* page = new (aligned(memory)) Memory;
  for (int i = 1; i < node_size; ++i) new (page->entries + i) Entry;
}

StatusPage::StatusPage(std::byte* memory, int node_rank, int node_size, int rank, int size)
    : memory_(reinterpret_cast<Memory*>(aligned(memory))),
      node_rank_(node_rank),
      node_size_(node_size),
      rank_(rank),
      size_(size) {
  own().rank = rank;
  own().pid = getpid();
}

StatusPage::Entry& StatusPage::own() const { return memory_->entries[node_rank_]; }

// Ranks in another process namespace share the memory and not the numbers: nobody may call them dead.
void StatusPage::look_around() {
  for (int i = 0; i < node_size_; ++i)
    if (is_gone(memory_->entries[i].pid)) memory_->entries[i].seen = 0;
}

void StatusPage::set_step(std::int64_t step) { own().step = step; }

void StatusPage::begin(StreamId stream, ScheduleKind schedule, OpId op, OpKind kind, std::optional<std::int32_t> unit) {
  StreamStatus& status = own().streams[static_cast<int>(stream)];
  status.schedule.store(static_cast<std::int32_t>(schedule), std::memory_order_relaxed);
  status.kind.store(static_cast<std::int32_t>(kind), std::memory_order_relaxed);
  status.unit.store(unit.value_or(nobody), std::memory_order_relaxed);
  status.op.store(op, std::memory_order_relaxed);
  status.running.store(1, std::memory_order_release);
}

void StatusPage::end(StreamId stream) { own().streams[static_cast<int>(stream)].running = 0; }

void StatusPage::set_waiting_for(std::optional<int> rank) { own().waiting_for = rank.value_or(nobody); }

void StatusPage::set_finished() { own().finished = 1; }

void StatusPage::raise_abort() {
  std::int32_t expected = nobody;
  memory_->abort_word.compare_exchange_strong(expected, rank_);
}

bool StatusPage::aborted() const { return memory_->abort_word != nobody; }

bool StatusPage::win_message() { return memory_->abort_word == rank_ && inherit_message(); }

bool StatusPage::inherit_message() { return memory_->said.exchange(1) == 0; }

const StatusPage::Entry* StatusPage::find(int rank) const {
  for (int i = 0; i < node_size_; ++i)
    if (memory_->entries[i].rank == rank) return memory_->entries + i;
  return nullptr;
}

std::optional<int> StatusPage::find_dead() const {
  for (int i = 0; i < node_size_; ++i) {
    const Entry& entry = memory_->entries[i];
    if (entry.pid != 0 && entry.seen && !entry.finished && is_gone(entry.pid)) return entry.rank;
  }
  return std::nullopt;
}

std::optional<int> StatusPage::end_of_waits(int rank) const {
  for (int hops = 0; hops < node_size_; ++hops) {
    const Entry* entry = find(rank);
    if (!entry) return std::nullopt;
    const std::int32_t next = entry->waiting_for;
    if (next == nobody) return rank;
    rank = next;
  }
  return rank;  // a ring of waits: any of them will do
}

std::optional<int> StatusPage::blamed() const {
  const int rank = blamed_;
  return rank == nobody ? std::nullopt : std::optional(rank);
}

// A rank that waits in a collective is at its collective; else at what it computes, or runs elsewhere; else at what it
// did last.
StreamId StatusPage::stream_to_name(const Entry& entry) {
  if (entry.waiting_for != nobody) return StreamId::comm;
  for (const StreamId stream : all_streams)
    if (entry.streams[static_cast<int>(stream)].running != 0) return stream;
  return entry.streams[static_cast<int>(StreamId::compute)].op != nobody ? StreamId::compute : StreamId::comm;
}

void StatusPage::describe(StatusLine& line, int rank) const {
  const Entry* entry = find(rank);
  if (!entry) {
    line << "an op on another node";
    return;
  }
  const StreamStatus& status = entry->streams[static_cast<int>(stream_to_name(*entry))];
  const std::int32_t op = status.op, unit = status.unit;
  if (entry->step >= 0) line << "step " << entry->step << ", ";
  if (op == nobody) {
    line << "its first op";
    return;
  }
  const auto schedule = static_cast<ScheduleKind>(status.schedule.load());
  if (schedule != ScheduleKind::step) line << name(schedule) << " ";
  line << "op " << op << " " << name(static_cast<OpKind>(status.kind.load()));
  if (unit != nobody) line << " unit " << unit;
}

void StatusPage::describe_step(StatusLine& line) const {
  const std::int64_t step = own().step;
  if (step >= 0)
    line << "at step " << step;
  else
    line << "before its first step";
}

bool StatusPage::runs_op() const {
  const auto& streams = own().streams;
  return std::any_of(std::begin(streams), std::end(streams), [](const StreamStatus& s) { return s.running != 0; });
}

void StatusPage::describe_others(StatusLine& line) const {
  if (size_ > 1) line << "; " << size_ << " ranks stopped";
}

}  // namespace trireme
