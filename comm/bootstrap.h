#pragma once
// The start and the end of a run over MPI: who is there, and how everybody stops when one cannot go on.

#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/mpi/mpi_options.h"
#include "comm/status_page.h"

namespace trireme {

/// How a run starts.
struct MpiStart {
  double deadline_s = 120;  // of the start and of the ordinary end, where MPI waits without a deadline of its own
  int launched_rank = 0;    // as the launcher says before MPI can; only so that ranks that give up do not speak at once
};

/// MPI from its start to its end, once per process; made in main() before anything that may fail on one rank alone.
///
/// Failure  whatever ends one rank ends all within 10 s, with one message per node: an error (fail), exit() before
///          finish(), a death (the launcher's SIGTERM finds who is gone), a wait past its deadline (an error, too). The
///          start, new communicators and the end are inside MPI for as long as it takes: SIGALRM ends them, exit
///          code 7.
/// Threads  made, finished and destroyed on the main thread; no other thread is inside MPI then.
class MpiRun {
 public:
  /// Collective. Errors: Error(comm) when MPI cannot be called from one thread after the other.
  MpiRun(int* argc, char*** argv, const MpiStart& start = {});
  /// finish() where that was not yet done, unless an exception flies.
  ~MpiRun();
  MpiRun(const MpiRun&) = delete;
  MpiRun& operator=(const MpiRun&) = delete;

  int rank() const;
  int size() const;
  /// Ranks that share memory with this one.
  int node_size() const;
  const std::string& node_name() const;
  /// The lowest rank of this node: it tells nodes of one name apart.
  int node_first_rank() const;
  StatusPage& page();

  /// Collective. All ranks as one group; the run must outlive it.
  std::unique_ptr<Communicator> make_communicator(const MpiOptions& options);

  /// Collective: the ordinary end. Communicators are gone by now.
  void finish();

  /// The end of all ranks because this one cannot go on: prints the one message of the node, unless another rank did,
  /// and stops all with error's exit code.
  [[noreturn]] void fail(const std::exception& error);

  /// Collective: the end with an error that all ranks have, when nothing of the run is left: rank 0 prints it, and all
  /// end MPI in order and this process with error's exit code. Who does not come within 9 s is left behind.
  [[noreturn]] void refuse(const Error& error);

 private:
  struct World;
  std::unique_ptr<World> world_;
};

/// What MPI calls itself: "Open MPI v4.1.4".
std::string mpi_library();

/// A whole run: MPI starts, `body` runs, MPI ends. What it throws on any rank ends all ranks (fail).
void run_over_mpi(int* argc, char*** argv, const MpiStart& start, const std::function<void(MpiRun&)>& body);

}  // namespace trireme
