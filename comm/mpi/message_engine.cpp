#include "comm/mpi/message_engine.h"

#include <sched.h>
#include <time.h>

#include <algorithm>

namespace trireme {
namespace {

// Back-off: ranks often share a core, so the spin is short, and the longest sleep is a small part of a collective.
constexpr int spins = 20, yields = 60;
constexpr long shortest_sleep_ns = 5'000, longest_sleep_ns = 100'000;
constexpr auto node_check_interval = std::chrono::milliseconds(200);
// The launcher is given this long to act on a death, so that the exit code is its own, before we do.
constexpr auto death_grace = std::chrono::seconds(3);

void back_off(int round) {
  if (round < spins) return;
  if (round < yields) {
    sched_yield();
    return;
  }
  const long ns = std::min<long>(longest_sleep_ns, shortest_sleep_ns * (1 + round - yields));
  const timespec pause{.tv_sec = 0, .tv_nsec = ns};
  nanosleep(&pause, nullptr);
}

}  // namespace

MessageEngine::MessageEngine(MPI_Comm group, const MpiOptions& options, StatusPage* page)
    : group_(group), options_(options), page_(page) {
  mpi_check(MPI_Comm_rank(group_, &rank_), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(group_, &size_), "MPI_Comm_size");
  require(options_.piece_bytes > 0 && options_.piece_bytes <= GiB, ErrorKind::config, "pieces of {} bytes: 1 to {}",
          options_.piece_bytes, GiB);
}

// Sends that peers still wait for are finished; after a failure nobody waits, and the run is over anyway.
MessageEngine::~MessageEngine() {
  const auto end = Clock::now() + std::chrono::duration<double>(options_.deadline_s);
  try {
    for (int round = 0; !sends_.requests.empty() && !aborted_ && !(page_ && page_->aborted()) && Clock::now() < end;
         ++round)
      if (!test(sends_)) back_off(round);
    if (sends_.requests.empty() && receives_.requests.empty()) MPI_Comm_free(&group_);
  } catch (const Error&) {
  }
}

void MessageEngine::send(const void* data, Bytes bytes, int to, int tag, const void* exported) {
  for (Bytes first = 0; first < bytes; first += options_.piece_bytes) {
    const Bytes piece = std::min(options_.piece_bytes, bytes - first);
    sends_.messages.push_back({to, piece, exported});
    sends_.requests.push_back(MPI_REQUEST_NULL);
    mpi_check(MPI_Isend(static_cast<const std::byte*>(data) + first, static_cast<int>(piece), MPI_BYTE, to, tag, group_,
                        &sends_.requests.back()),
              "MPI_Isend");
  }
}

void MessageEngine::receive(void* data, Bytes bytes, int from, int tag) {
  for (Bytes first = 0; first < bytes; first += options_.piece_bytes) {
    const Bytes piece = std::min(options_.piece_bytes, bytes - first);
    receives_.messages.push_back({from, piece, nullptr});
    receives_.requests.push_back(MPI_REQUEST_NULL);
    mpi_check(MPI_Irecv(static_cast<std::byte*>(data) + first, static_cast<int>(piece), MPI_BYTE, from, tag, group_,
                        &receives_.requests.back()),
              "MPI_Irecv");
  }
}

// Takes what is complete out of the lists; whether there was any.
bool MessageEngine::test(Outstanding& outstanding) {
  const std::size_t count = outstanding.requests.size();
  if (count == 0) return false;
  completed_.resize(std::max(completed_.size(), count));
  statuses_.resize(std::max(statuses_.size(), count));
  int done = 0;
  const int code =
      MPI_Testsome(static_cast<int>(count), outstanding.requests.data(), &done, completed_.data(), statuses_.data());
  if (code != MPI_ERR_IN_STATUS) mpi_check(code, "MPI_Testsome");
  if (done == MPI_UNDEFINED || done == 0) return false;
  for (int i = 0; i < done; ++i) {
    const Message& message = outstanding.messages[static_cast<std::size_t>(completed_[static_cast<std::size_t>(i)])];
    const MPI_Status& status = statuses_[static_cast<std::size_t>(i)];
    if (code == MPI_ERR_IN_STATUS) mpi_check(status.MPI_ERROR, fmt::format("a message with rank {}", message.peer));
    if (&outstanding != &receives_) continue;
    int bytes = 0;
    mpi_check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    require(bytes == message.bytes, ErrorKind::comm, "rank {} sent {} bytes where {} were expected", message.peer,
            bytes, message.bytes);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (outstanding.requests[i] == MPI_REQUEST_NULL) continue;
    outstanding.requests[kept] = outstanding.requests[i];
    outstanding.messages[kept++] = outstanding.messages[i];
  }
  outstanding.requests.resize(kept);
  outstanding.messages.resize(kept);
  return true;
}

std::string MessageEngine::peers_of(const Outstanding& outstanding, const void* exported) const {
  std::vector<int> peers;
  for (const Message& message : outstanding.messages)
    if (message.exported == exported) peers.push_back(message.peer);
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  constexpr std::size_t shown = 8;
  std::string text = peers.size() == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < std::min(peers.size(), shown); ++i) text += fmt::format("{} {}", i ? "," : "", peers[i]);
  return peers.size() > shown ? text + fmt::format(" and {} more", peers.size() - shown) : text;
}

void MessageEngine::give_up(const Outstanding& outstanding, const void* exported, std::string_view call) {
  if (page_) {
    // First of all, so that a rank that waits for us keeps quiet.
    page_->raise_abort();
    for (const Message& message : outstanding.messages) {
      if (message.exported != exported) continue;
      const std::optional<int> stalled = page_->end_of_waits(message.peer);
      if (!stalled || *stalled == rank_) continue;
      page_->blame(*stalled);
      break;
    }
  }
  throw Error(ErrorKind::comm, fmt::format("rank {} waited {} s in {} for {}", rank_, options_.deadline_s, call,
                                           peers_of(outstanding, exported)));
}

void MessageEngine::check_node(std::string_view call, std::optional<Clock::time_point>& death_seen) {
  const std::optional<int> dead = page_->find_dead();
  if (!dead) return;
  if (!death_seen) death_seen = Clock::now();
  require(Clock::now() - *death_seen < death_grace, ErrorKind::comm, "rank {} died while rank {} was in {}", *dead,
          rank_, call);
}

void MessageEngine::poll_until_done(Outstanding& outstanding, const void* exported, std::string_view call) {
  const auto waits = [&] {
    return std::any_of(outstanding.messages.begin(), outstanding.messages.end(),
                       [&](const Message& message) { return message.exported == exported; });
  };
  Clock::time_point last_message = Clock::now(), last_check = last_message;
  std::optional<Clock::time_point> death_seen;
  for (int round = 0; waits(); ++round) {
    if (test(outstanding)) {
      round = 0;
      last_message = Clock::now();
      continue;
    }
    require(!aborted_ && !(page_ && page_->aborted()), ErrorKind::comm,
            "rank {} gave up {} because the run was aborted", rank_, call);
    back_off(round);
    if (round < yields) continue;
    const Clock::time_point now = Clock::now();
    if (now - last_message > std::chrono::duration<double>(options_.deadline_s)) give_up(outstanding, exported, call);
    if (!page_ || now - last_check < node_check_interval) continue;
    last_check = now;
    const auto awaited = std::find_if(outstanding.messages.begin(), outstanding.messages.end(),
                                      [&](const Message& message) { return message.exported == exported; });
    page_->set_waiting_for(awaited->peer);
    check_node(call, death_seen);
  }
  if (page_) page_->set_waiting_for(std::nullopt);
}

void MessageEngine::wait_for(Outstanding& outstanding, const void* exported, std::string_view call) {
  try {
    poll_until_done(outstanding, exported, call);
  } catch (...) {
    drop_receives();
    throw;
  }
}

void MessageEngine::drop_receives() {
  for (MPI_Request& request : receives_.requests) {
    if (request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
  receives_ = {};
}

void MessageEngine::finish_receives(std::string_view call) { wait_for(receives_, nullptr, call); }

void MessageEngine::finish_sends(const void* exported, std::string_view call) { wait_for(sends_, exported, call); }

void MessageEngine::progress() { test(sends_); }

void MessageEngine::abort() {
  aborted_ = true;
  if (page_) page_->raise_abort();
}

}  // namespace trireme
