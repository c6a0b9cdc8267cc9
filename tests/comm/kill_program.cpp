// A run that goes wrong on request, for kill_test.sh: collectives on one thread, "computing" on another.
//
// kill_program FAULT RANK DELAY_US DEADLINE_S MARK TRANSPORT: on rank RANK, DELAY_US after the first step began, does
// FAULT:
//   kill (SIGKILL to itself at any instant), error, exception, exit, _exit, stall, stop (SIGSTOP), late (an error on
//   the collectives' thread), between and between_exception (an error of the host thread, outside of any op), outside
//   (exit() there), none, term (nothing: the script sends it from outside); or, before the first step, early (an error
//   of one rank); or, without a moment: config (every rank), differ (a text that differs), and SIGSTOP before MPI
//   starts (start), before a communicator is made (make), before all refuse to go on (leave) and before MPI ends (end).
// Touches the file MARK when it does; a run with a fault has no end of its own. TRANSPORT: place, messages, or mixed
// (in place within pairs of ranks).

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "comm/agreement.h"
#include "comm/bootstrap.h"
#include "runtime/device/cpu/arena.h"
#include "runtime/execute/op_error.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int units = 5, steps = 400;  // of a run without a fault
constexpr Elems slice_elems = 3'000;

void touch(const char* mark) {
  if (std::FILE* file = std::fopen(mark, "w")) std::fclose(file);
}

// The launcher wakes stopped processes before it ends them.
void stop_if(const char* fault, char** arguments, int rank) {
  if (std::string(arguments[1]) != fault || rank != std::atoi(arguments[2])) return;
  touch(arguments[5]);
  kill(getpid(), SIGSTOP);
}

class Victim {
 public:
  Victim(char** arguments, int rank)
      : fault_(arguments[1]),
        mine_(rank == std::atoi(arguments[2])),
        mark_(arguments[5]),
        moment_(Clock::now() + std::chrono::microseconds(std::atoll(arguments[3]))) {
    if (mine_ && fault_ == "kill")
      std::thread([this] {
        std::this_thread::sleep_until(moment_);
        mark();
        kill(getpid(), SIGKILL);
      }).detach();
  }
  void compute() const {
    if (!due() || fault_ == "late" || is_between()) return;
    mark();
    if (fault_ == "error") throw Error(ErrorKind::data, "a planted error\nwith details");
    if (fault_ == "exception") throw std::runtime_error("a planted exception");
    if (fault_ == "exit") std::exit(0);
    if (fault_ == "_exit") _exit(0);
    if (fault_ == "stop") kill(getpid(), SIGSTOP);
    if (fault_ == "stall") std::this_thread::sleep_for(std::chrono::hours(1));
  }
  void work_between_ops() const {
    if (!due() || !is_between()) return;
    mark();
    if (fault_ == "between") throw Error(ErrorKind::data, "a planted error between ops");
    if (fault_ == "between_exception") throw std::runtime_error("a planted exception between ops");
    std::exit(0);
  }
  void begin() const {
    if (!mine_ || fault_ != "early") return;
    mark();
    throw Error(ErrorKind::data, "a planted early error");
  }
  void communicate() const {
    if (!due() || fault_ != "late") return;
    mark();
    throw Error(ErrorKind::numeric, "a planted error beside the collectives");
  }

 private:
  bool is_between() const { return fault_ == "between" || fault_ == "between_exception" || fault_ == "outside"; }
  bool due() const { return mine_ && fault_ != "kill" && Clock::now() >= moment_; }
  void mark() const {
    if (marked_) return;  // a stopped process that was woken
    marked_ = true;
    touch(mark_.c_str());
  }
  std::string fault_;
  bool mine_;
  mutable bool marked_ = false;
  std::string mark_;
  Clock::time_point moment_;
};

/// What ranks show each other, in memory that they can share, and what they keep.
struct Buffers {
  explicit Buffers(int ranks)
      : exported(slice_elems * (ranks + 1) * static_cast<Bytes>(sizeof(float)), Pages::shared),
        slice(exported.data(), DType::f32, slice_elems),
        gradient(exported.data() + slice.bytes(), DType::f32, slice_elems * ranks),
        full(static_cast<std::size_t>(slice_elems * ranks)),
        staging(full.size()),
        sum(static_cast<std::size_t>(slice_elems)) {}
  cpu::Arena exported;
  View slice, gradient;
  std::vector<float> full, staging, sum;
};

View view(std::vector<float>& memory) { return View(memory.data(), DType::f32, static_cast<Elems>(memory.size())); }

void collectives(StatusPage& page, Communicator& c, Buffers& buffers, const Victim& victim, int unit) {
  std::vector<int> all(static_cast<std::size_t>(c.size()));
  std::iota(all.begin(), all.end(), 0);
  const FlatRange range{0, slice_elems * c.size(), slice_elems};

  page.begin(StreamId::comm, ScheduleKind::step, 4 * unit, OpKind::gather, unit);
  c.gather({.slice = buffers.slice, .range = range, .full = view(buffers.full), .to = all});
  victim.communicate();
  page.begin(StreamId::comm, ScheduleKind::step, 4 * unit + 1, OpKind::reduce, unit);
  c.reduce({.gradient = buffers.gradient,
            .range = range,
            .from = all,
            .accumulator = view(buffers.sum),
            .staging = view(buffers.staging),
            .wire = DType::f32});
  page.begin(StreamId::comm, ScheduleKind::step, 4 * unit + 2, OpKind::release, unit);
  c.release(buffers.slice.data);
  c.release(buffers.gradient.data);
  page.end(StreamId::comm);
}

// As the executor does.
[[noreturn]] void fail_op(Communicator& communicator) {
  communicator.abort();
  try {
    throw;
  } catch (const Error& error) {
    throw OpError(error);
  } catch (const std::exception& error) {
    throw OpError(ErrorKind::bug, error.what());
  }
}

std::unique_ptr<Communicator> make_communicator(MpiRun& run, char** arguments) {
  const std::string transport = arguments[6];
  return run.make_communicator({.deadline_s = std::atof(arguments[4]),
                                .share = transport != "messages",
                                .ranks_per_node = transport == "mixed" ? 2 : 0});
}

void train(MpiRun& run, char** arguments) {
  Buffers buffers(run.size());
  stop_if("make", arguments, run.rank());
  const auto communicator = make_communicator(run, arguments);
  const std::string fault = arguments[1];
  require(fault != "config", ErrorKind::config, "a planted error of every rank");
  stop_if("leave", arguments, run.rank());
  if (fault == "leave") throw AgreedError(ErrorKind::config, "a planted refusal");
  const bool odd = fault == "differ" && run.rank() == std::atoi(arguments[2]);
  agree(*communicator, "the configuration", odd ? "width = 3" : "width = 4");
  communicator->share({.data = buffers.exported.data(),
                       .bytes = buffers.slice.bytes() + buffers.gradient.bytes(),
                       .file = buffers.exported.file()});
  communicator->barrier();
  const Victim victim(arguments, run.rank());
  victim.begin();
  for (int step = 0; step < steps || fault != "none"; ++step) {
    run.page().set_step(step);
    for (int unit = 0; unit < units; ++unit) {
      auto communication = std::async(std::launch::async, [&] {
        try {
          collectives(run.page(), *communicator, buffers, victim, unit);
        } catch (...) {
          fail_op(*communicator);
        }
      });
      try {
        run.page().begin(StreamId::compute, ScheduleKind::step, 4 * unit + 3, OpKind::forward, unit);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        victim.compute();
        run.page().end(StreamId::compute);
      } catch (...) {
        fail_op(*communicator);
      }
      communication.get();
      victim.work_between_ops();
    }
  }
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  if (argc != 7) return 1;
  const char* launched = std::getenv("OMPI_COMM_WORLD_RANK");
  const int rank = launched ? std::atoi(launched) : 0;
  const std::string fault = argv[1];
  trireme::stop_if("start", argv, rank);
  // Other ends may take longer than the deadline of a wait.
  const double deadline_s = fault == "start" || fault == "end" ? std::atof(argv[4]) : 120;
  trireme::run_over_mpi(&argc, &argv, {.deadline_s = deadline_s, .launched_rank = rank}, [&](trireme::MpiRun& run) {
    if (fault != "end") trireme::train(run, argv);
    trireme::stop_if("end", argv, rank);
  });
  return 0;
}
