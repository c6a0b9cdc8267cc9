// The main program of tests under mpirun: every rank runs every test, rank 0 prints, one failure fails the run.
#include "tests/comm/mpi_main.h"

#include <iostream>
#include <sstream>

#include "tests/support/run_tests.h"

namespace trireme::test {

namespace {
MpiRun* run_of_process = nullptr;
}

MpiRun& mpi_run() { return *run_of_process; }

}  // namespace trireme::test

int main(int argc, char** argv) {
  trireme::MpiRun run(&argc, &argv);
  trireme::test::run_of_process = &run;
  std::ostringstream silent;
  std::streambuf* const console = std::cout.rdbuf();
  if (run.rank() != 0) std::cout.rdbuf(silent.rdbuf());
  const int failures = trireme::test::run_tests(argc, argv);
  std::cout.rdbuf(console);
  if (run.rank() != 0 && failures != 0) std::cerr << "rank " << run.rank() << ":\n" << silent.str();
  run.finish();
  return failures;
}
