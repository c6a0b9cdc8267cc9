// A run that goes wrong on request, for kill_test.sh: collectives on one thread, "computing" on another.
//
// kill_program FAULT RANK DELAY_US DEADLINE_S MARK: on rank RANK, DELAY_US after the first step began, does FAULT:
//   kill (SIGKILL to itself at any instant), error, exception, exit, _exit, stall, stop (SIGSTOP), late (an error on
//   the collectives' thread); or, without a moment: none, term (from outside), config (every rank), differ (a text that
//   differs), start (SIGSTOP before MPI is started).
// Touches the file MARK when it does.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "comm/agreement.h"
#include "comm/bootstrap.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int units = 5, steps = 400;
constexpr Elems slice_elems = 3'000;

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
    if (!due() || fault_ == "late") return;
    mark();
    if (fault_ == "error") throw Error(ErrorKind::data, "a planted error\nwith details");
    if (fault_ == "exception") throw std::runtime_error("a planted exception");
    if (fault_ == "exit") std::exit(0);
    if (fault_ == "_exit") _exit(0);
    if (fault_ == "stop") kill(getpid(), SIGSTOP);
    if (fault_ == "stall") std::this_thread::sleep_for(std::chrono::hours(1));
  }
  void communicate() const {
    if (!due() || fault_ != "late") return;
    mark();
    throw Error(ErrorKind::numeric, "a planted error beside the collectives");
  }

 private:
  bool due() const {
    return mine_ && fault_ != "kill" && fault_ != "none" && fault_ != "term" && Clock::now() >= moment_;
  }
  void mark() const {
    if (marked_) return;  // the launcher wakes stopped processes before it ends them
    marked_ = true;
    if (std::FILE* file = std::fopen(mark_.c_str(), "w")) std::fclose(file);
  }
  std::string fault_;
  bool mine_;
  mutable bool marked_ = false;
  std::string mark_;
  Clock::time_point moment_;
};

void collectives(StatusPage& page, Communicator& c, const Victim& victim, int unit) {
  static std::vector<float> slice(slice_elems), full, gradient, sum(slice_elems), staging;
  const auto size = static_cast<std::size_t>(c.size());
  for (std::vector<float>* buffer : {&full, &gradient, &staging}) buffer->resize(slice_elems * size);
  std::vector<int> all(size);
  for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<int>(i);
  const FlatRange range{0, slice_elems * c.size(), slice_elems};
  const auto view = [](std::vector<float>& memory) {
    return View(memory.data(), DType::f32, static_cast<Elems>(memory.size()));
  };

  page.begin(StreamId::comm, "step", 4 * unit, OpKind::gather, unit);
  c.gather({.slice = view(slice), .range = range, .full = view(full), .to = all});
  victim.communicate();
  page.begin(StreamId::comm, "step", 4 * unit + 1, OpKind::reduce, unit);
  c.reduce({.gradient = view(gradient),
            .range = range,
            .from = all,
            .accumulator = view(sum),
            .staging = view(staging),
            .wire = DType::f32});
  page.begin(StreamId::comm, "step", 4 * unit + 2, OpKind::release, unit);
  c.release(slice.data());
  c.release(gradient.data());
  page.end(StreamId::comm);
}

void train(MpiRun& run, char** arguments) {
  const auto communicator = run.make_communicator({.deadline_s = std::atof(arguments[4])});
  const std::string fault = arguments[1];
  require(fault != "config", ErrorKind::config, "a planted error of every rank");
  const bool odd = fault == "differ" && run.rank() == std::atoi(arguments[2]);
  agree(*communicator, "the configuration", odd ? "width = 3" : "width = 4");
  communicator->barrier();
  const Victim victim(arguments, run.rank());
  for (int step = 0; step < steps; ++step) {
    run.page().set_step(step);
    for (int unit = 0; unit < units; ++unit) {
      auto communication = std::async(std::launch::async, [&] {
        try {
          collectives(run.page(), *communicator, victim, unit);
        } catch (...) {
          communicator->abort();
          throw;
        }
      });
      try {
        run.page().begin(StreamId::compute, "step", 4 * unit + 3, OpKind::forward, unit);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        victim.compute();
        run.page().end(StreamId::compute);
      } catch (...) {
        communicator->abort();
        throw;
      }
      communication.get();
    }
  }
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  if (argc != 6) return 1;
  const char* launched = std::getenv("OMPI_COMM_WORLD_RANK");
  const int rank = launched ? std::atoi(launched) : 0;
  if (std::string(argv[1]) == "start" && rank == std::atoi(argv[2])) {
    if (std::FILE* file = std::fopen(argv[5], "w")) std::fclose(file);
    kill(getpid(), SIGSTOP);
  }
  trireme::MpiRun run(&argc, &argv, {.deadline_s = std::string(argv[1]) == "start" ? std::atof(argv[4]) : 120, .launched_rank = rank});
  try {
    trireme::train(run, argv);
    run.finish();
  } catch (const std::exception& error) {
    run.fail(error);
  }
  return 0;
}
