#pragma once
// Point-to-point messages of one rank that are under way, and the waits for them.

#include <string_view>
#include <vector>

#include "comm/mpi/mpi_check.h"
#include "comm/mpi/mpi_options.h"
#include "comm/wait_watch.h"

namespace trireme {

/// Sends stay under way after the call that posted them, under the address that they read; receives are waited for.
///
/// Threads  one thread at a time; abort() from any.
/// Memory   vectors of requests grow to the largest number under way and are kept.
/// Failure  a wait in which no message completes for deadline_s, or during which the node aborts or a rank of it dies,
///          ends with Error(comm) (WaitWatch), and nothing is written into the receivers' memory any more.
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
  /// Whether any messages are under way after it.
  bool progress();
  /// Nothing is received any more of what was posted: for an error between the post and the wait.
  void drop_receives();
  void abort();

  int rank() const { return limits_.rank; }
  int size() const { return size_; }
  /// Of all waits of this rank.
  const WaitLimits& limits() const { return limits_; }

 private:
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
  void wait_for(Outstanding& outstanding, const void* exported, std::string_view call);
  void poll_until_done(Outstanding& outstanding, const void* exported, std::string_view call);

  MPI_Comm group_;
  Bytes piece_bytes_;
  WaitLimits limits_;
  int size_ = 0;
  Outstanding sends_, receives_;
  std::vector<int> completed_;  // of MPI_Testsome
  std::vector<MPI_Status> statuses_;
};

}  // namespace trireme
