#include "comm/bootstrap.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "comm/agreement.h"
#include "comm/mpi/mpi_check.h"
#include "comm/mpi/mpi_communicator.h"
#include "comm/termination.h"
#include "runtime/base/error.h"
#include "runtime/base/memory_refusal.h"
#include "runtime/execute/op_error.h"

namespace trireme {
namespace {

// A rank that may not speak waits this long to be ended by the one that may; then it speaks if that one did not: it may
// be held up, in a long op beside the wait that failed.
constexpr int patience_s = 6;
// Whatever hangs while a run is being stopped (MPI_Abort, too) ends by SIGALRM.
constexpr unsigned last_resort_s = 9;

// The run of this process, for exit() without finish(). Atomic: exit() may come from any thread.
std::atomic<MpiRun*> unfinished_run{nullptr};

void on_exit_of_process() {
  MpiRun* run = unfinished_run;
  if (!run) return;
  // A library that gets no thread may end the process.
  if (thread_stack_refused()) run->fail(memory_refused("the stack of one more thread"));
  const Error error(ErrorKind::comm, "the process called exit() before the end of the run");
  if (run->page().runs_op()) run->fail(OpError(error));
  run->fail(error);
}

// What is thrown where nothing may be, mostly for want of memory.
[[noreturn]] void on_lost_exception() {
  try {
    if (const std::exception_ptr lost = std::current_exception()) std::rethrow_exception(lost);
  } catch (const std::exception& error) {
    if (MpiRun* run = unfinished_run) run->fail(error);
  }
  std::abort();
}

// For SIGALRM: what this process does inside MPI, its exit code, and the page, where there is one yet.
std::atomic<const char*> waits_in{"MPI"};
std::atomic<int> code_of_alarm{exit_code(ErrorKind::comm)};
// While all end with an error that all have (waits_in is null): for rank 0, should it not come to say it.
StatusLine refusal;
std::atomic<StatusPage*> page_of_alarm{nullptr};

// The wait is inside MPI, so nothing of MPI may be called: the launcher ends the others. Async-signal-safe calls only.
void on_alarm(int) {
  StatusPage* page = page_of_alarm;
  if (page) page->raise_abort();
  const char* wait = waits_in;
  if (wait == nullptr && page && page->inherit_message()) write_line(refusal);
  if (wait != nullptr && (!page || page->win_message())) {
    StatusLine line;
    line << "trireme: communication: " << wait
         << " did not end before its deadline: a rank does not answer; look for stopped processes and lost nodes\n";
    write_line(line);
  }
  _exit(code_of_alarm);
}

// Before there is a page the ranks give up in turn, so that the first to do so has ended the others before they speak.
// All within 10 s of the deadline: more ranks than these speak at once only where none of these can.
constexpr int turns = 4, turn_s = 2;

/// Ends the process by SIGALRM where calls that MPI gives no deadline take longer than `deadline_s`.
class MpiDeadline {
 public:
  MpiDeadline(const char* name, double deadline_s, int launched_rank = 0) {
    waits_in = name;
    signal(SIGALRM, on_alarm);
    const double own_s = std::ceil(std::clamp(deadline_s, 1.0, 1e6)) + turn_s * std::clamp(launched_rank, 0, turns - 1);
    alarm(static_cast<unsigned>(own_s));
  }
  ~MpiDeadline() { alarm(0); }
  MpiDeadline(const MpiDeadline&) = delete;
};

// Over one TCP connection Open MPI sends long messages or receives them, not both at once: half of what a link carries.
// As a default alone: `mpirun --mca btl_tcp_links N` stands in the environment already.
void prefer_two_connections() { setenv("OMPI_MCA_btl_tcp_links", "2", 0); }

[[noreturn]] void stop_all(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

// Who is to blame, and where: the rank that this one's wait gave up on, at its op; else this one, at an op only where
// an op failed. What ran last beside a host thread that could not write has no part in that.
std::string blame(const StatusPage& page, bool at_op, const char* kind) {
  const std::optional<int> stalled = page.blamed();
  StatusLine place;
  if (stalled || at_op)
    page.describe(place << "at ", stalled.value_or(page.rank()));
  else
    page.describe_step(place);
  if (stalled) return fmt::format("rank {} stalled {}", *stalled, place.text());
  return fmt::format("rank {} failed {}: {}", page.rank(), place.text(), kind);
}

// The details of an error (the ops around it) stay behind its first line, where the count of ranks goes.
std::string failure_message(const StatusPage& page, const Error& error, bool at_op, bool agreed) {
  const std::string what = error.what();
  const std::size_t end = std::min(what.find('\n'), what.size());
  const char* kind = name(error.kind());
  if (agreed || page.size() == 1) return fmt::format("trireme: {}: {}\n", kind, what);
  StatusLine others;
  page.describe_others(others);
  return fmt::format("trireme: {}: {}{}{}\n", blame(page, at_op, kind), what.substr(0, end), others.text(),
                     what.substr(end));
}

}  // namespace

struct MpiRun::World {
  int rank = 0, size = 0, node_rank = 0, node_size = 0, node_first_rank = 0;
  double deadline_s = 0;
  std::string node_name;
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Win window = MPI_WIN_NULL;
  std::optional<StatusPage> page;
  std::optional<TerminationNotice> notice;

  void open_page();
  void close();  // within a MpiDeadline
};

void MpiRun::World::open_page() {
  // Lies wholly at the node's first rank.
  const MPI_Aint own_bytes = node_rank == 0 ? static_cast<MPI_Aint>(StatusPage::bytes(node_size)) : 0;
  std::byte* memory = nullptr;
  mpi_check(MPI_Win_allocate_shared(own_bytes, 1, MPI_INFO_NULL, node, &memory, &window), "MPI_Win_allocate_shared");
  MPI_Aint bytes = 0;
  int unit_bytes = 0;
  mpi_check(MPI_Win_shared_query(window, 0, &bytes, &unit_bytes, &memory), "MPI_Win_shared_query");
  if (node_rank == 0) StatusPage::initialise(memory, node_size);
  mpi_check(MPI_Barrier(node), "MPI_Barrier");
  page.emplace(memory, node_rank, node_size, rank, size);
  mpi_check(MPI_Barrier(node), "MPI_Barrier");
  page->look_around();
  page_of_alarm = &*page;
  notice.emplace(*page);
}

void MpiRun::World::close() {
  mpi_check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier");
  page->set_finished();  // not before: who dies in the barrier has died
  notice.reset();
  page_of_alarm = nullptr;
  page.reset();
  mpi_check(MPI_Win_free(&window), "MPI_Win_free");
  mpi_check(MPI_Comm_free(&node), "MPI_Comm_free");
  mpi_check(MPI_Finalize(), "MPI_Finalize");
}

MpiRun::MpiRun(int* argc, char*** argv, const MpiStart& start) : world_(std::make_unique<World>()) {
  const MpiDeadline deadline("the start of MPI", start.deadline_s, start.launched_rank);
  prefer_two_connections();
  int provided = MPI_THREAD_SINGLE;
  mpi_check(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  require(provided >= MPI_THREAD_SERIALIZED, ErrorKind::comm,
          "this MPI gives thread level {}; MPI_THREAD_SERIALIZED ({}) is needed", provided,
          static_cast<int>(MPI_THREAD_SERIALIZED));
  World& world = *world_;
  world.deadline_s = start.deadline_s;
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  mpi_check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank, MPI_INFO_NULL, &world.node),
            "MPI_Comm_split_type");
  MPI_Comm_rank(world.node, &world.node_rank);
  MPI_Comm_size(world.node, &world.node_size);
  world.node_first_rank = world.rank;
  mpi_check(MPI_Bcast(&world.node_first_rank, 1, MPI_INT, 0, world.node), "MPI_Bcast");
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  MPI_Get_processor_name(name, &length);
  world.node_name.assign(name, static_cast<std::size_t>(length));
  world.open_page();
  unfinished_run = this;
  std::atexit(on_exit_of_process);
  std::set_terminate(on_lost_exception);
}

MpiRun::~MpiRun() {
  if (std::uncaught_exceptions() == 0) finish();
  unfinished_run = nullptr;  // exit() finds it no more
}

int MpiRun::rank() const { return world_->rank; }
int MpiRun::size() const { return world_->size; }
int MpiRun::node_size() const { return world_->node_size; }
const std::string& MpiRun::node_name() const { return world_->node_name; }
int MpiRun::node_first_rank() const { return world_->node_first_rank; }
StatusPage& MpiRun::page() { return *world_->page; }

std::unique_ptr<Communicator> MpiRun::make_communicator(const MpiOptions& options) {
  const MpiDeadline deadline("making a communicator", options.deadline_s);
  return make_mpi_communicator(MPI_COMM_WORLD, options, &page());
}

void MpiRun::finish() {
  if (!unfinished_run.exchange(nullptr)) return;
  const MpiDeadline deadline("the end of the run", world_->deadline_s);
  world_->close();
}

void MpiRun::fail(const std::exception& error) {
  unfinished_run = nullptr;
  signal(SIGALRM, SIG_DFL);
  alarm(last_resort_s);
  const Error ours = as_error(error);
  const int code = exit_code(ours.kind());
  StatusPage& status = page();
  const std::optional<int> dead = ours.kind() == ErrorKind::comm ? status.find_dead() : std::nullopt;
  status.raise_abort();
  if (!status.win_message()) {
    sleep(patience_s);
    if (!status.inherit_message()) stop_all(code);
  }
  StatusLine line;
  if (dead)
    write_death(line, status, *dead);
  else
    line << failure_message(status, ours, dynamic_cast<const OpError*>(&error) != nullptr, false);
  write_line(line);
  stop_all(code);
}

// No abort word: a rank that is still on its way here would take it for another's failure.
void MpiRun::refuse(const Error& error) {
  unfinished_run = nullptr;
  const int code = exit_code(error.kind());
  code_of_alarm = code;
  refusal << failure_message(page(), error, false, true);
  if (rank() == 0 && page().inherit_message()) write_line(refusal);
  try {
    const MpiDeadline deadline(nullptr, last_resort_s);
    world_->close();
  } catch (const Error&) {
    stop_all(code);
  }
  std::fflush(nullptr);
  _exit(code);
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string_view version(text, static_cast<std::size_t>(length));
  return std::string(version.substr(0, version.find_first_of(",\n")));
}

void run_over_mpi(int* argc, char*** argv, const MpiStart& start, const std::function<void(MpiRun&)>& body) {
  MpiRun run(argc, argv, start);
  try {
    body(run);
  } catch (const AgreedError& error) {
    run.refuse(error);
  } catch (const std::exception& error) {
    if (run.size() == 1) run.refuse(as_error(error));
    run.fail(error);
  }
  run.finish();
}

}  // namespace trireme
