#include "comm/mpi/message_engine.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>

namespace trireme {
namespace {

// Back-off: ranks often share a core, so the spin is short, and the longest sleep is a small part of a collective.
constexpr int spins = 20, yields = 60;
constexpr long shortest_sleep_ns = 5'000, longest_sleep_ns = 100'000;

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
    : group_(group), piece_bytes_(options.piece_bytes) {
  limits_.deadline_s = options.deadline_s;
  limits_.page = page;
  mpi_check(MPI_Comm_rank(group_, &limits_.rank), "MPI_Comm_rank");
  mpi_check(MPI_Comm_size(group_, &size_), "MPI_Comm_size");
  require(piece_bytes_ > 0 && piece_bytes_ <= GiB, ErrorKind::config, "pieces of {} bytes: 1 to {}", piece_bytes_, GiB);
}

// Sends that peers still wait for are finished; after a failure nobody waits, and the run is over anyway.
MessageEngine::~MessageEngine() {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(limits_.deadline_s);
  try {
    for (int round = 0; !sends_.requests.empty() && !limits_.stopped() && Clock::now() < end; ++round)
      if (!test(sends_)) back_off(round);
    if (sends_.requests.empty() && receives_.requests.empty()) MPI_Comm_free(&group_);
  } catch (const Error&) {
  }
}

void MessageEngine::send(const void* data, Bytes bytes, int to, int tag, const void* exported) {
  for (Bytes first = 0; first < bytes; first += piece_bytes_) {
    const Bytes piece = std::min(piece_bytes_, bytes - first);
    sends_.messages.push_back({to, piece, exported});
    sends_.requests.push_back(MPI_REQUEST_NULL);
    mpi_check(MPI_Isend(static_cast<const std::byte*>(data) + first, static_cast<int>(piece), MPI_BYTE, to, tag, group_,
                        &sends_.requests.back()),
              "MPI_Isend");
  }
}

void MessageEngine::receive(void* data, Bytes bytes, int from, int tag) {
  for (Bytes first = 0; first < bytes; first += piece_bytes_) {
    const Bytes piece = std::min(piece_bytes_, bytes - first);
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

void MessageEngine::poll_until_done(Outstanding& outstanding, const void* exported, std::string_view call) {
  const auto counts = [&](const Message& message) { return message.exported == exported; };
  const auto peers = [&] {
    std::vector<int> list;
    for (const Message& message : outstanding.messages)
      if (counts(message)) list.push_back(message.peer);
    return list;
  };
  WaitWatch watch(limits_, call);
  for (int round = 0; std::any_of(outstanding.messages.begin(), outstanding.messages.end(), counts); ++round) {
    if (test(outstanding)) {
      round = 0;
      watch.moved();
      continue;
    }
    watch.look(peers);
    back_off(round);
  }
  watch.end();
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

bool MessageEngine::progress() {
  test(sends_);
  test(receives_);
  return !sends_.requests.empty() || !receives_.requests.empty();
}

void MessageEngine::abort() {
  limits_.aborted = true;
  if (limits_.page) limits_.page->raise_abort();
}

}  // namespace trireme
