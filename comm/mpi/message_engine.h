#pragma once
// Point-to-point messages of one rank that are under way, and the waits for them.

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "comm/mpi/mpi_check.h"
#include "comm/mpi/mpi_options.h"
#include "comm/status_page.h"

namespace trireme {

/// Sends stay under way after the call that posted them, under the address that they read; receives are waited for.
///
/// Threads  one thread at a time; abort() from any.
/// Memory   vectors of requests grow to the largest number under way and are kept.
/// Failure  a wait in which no message completes for deadline_s, or during which the node aborts or a rank of it dies,
///          ends with Error(comm), and nothing is written into the receivers' memory any more.
class MessageEngine {
 public:
  /// `page` may be null; else it must outlive the engine. Takes over `group`, which returns its errors.
  MessageEngine(MPI_Comm group, const MpiOptions& options, StatusPage* page);
  ~MessageEngine();
  MessageEngine(const MessageEngine&) = delete;
  MessageEngine& operator=(const MessageEngine&) = delete;

  void send(const void* data, Bytes bytes, int to, int tag, const void* exported);
  void receive(void* data, Bytes bytes, int from, int tag);

  /// Returns when all receives posted so far are complete. `call` is for the message of an error.
  void finish_receives(std::string_view call);
  /// Returns when all sends under `exported` are complete.
  void finish_sends(const void* exported, std::string_view call);
  void progress();
  void abort();

  int rank() const { return rank_; }
  int size() const { return size_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Message {
    int peer;
    Bytes bytes;
    const void* exported;
  };
  struct Outstanding {
    std::vector<MPI_Request> requests;
    std::vector<Message> messages;
  };

  bool test(Outstanding& outstanding);
  void drop_receives();
  std::string peers_of(const Outstanding& outstanding, const void* exported) const;
  [[noreturn]] void give_up(const Outstanding& outstanding, const void* exported, std::string_view call);
  void wait_for(Outstanding& outstanding, const void* exported, std::string_view call);
  void poll_until_done(Outstanding& outstanding, const void* exported, std::string_view call);
  void check_node(std::string_view call, std::optional<Clock::time_point>& death_seen);

  MPI_Comm group_;
  MpiOptions options_;
  StatusPage* page_;
  int rank_ = 0, size_ = 0;
  Outstanding sends_, receives_;
  std::vector<int> completed_;  // of MPI_Testsome
  std::vector<MPI_Status> statuses_;
  std::atomic<bool> aborted_{false};
};

}  // namespace trireme
