#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include "comm/mpi/mpi_communicator.h"
#include "tests/comm/conformance.h"
#include "tests/comm/faulty_communicator.h"
#include "tests/comm/mpi_main.h"

namespace trireme::test {
namespace {

using Clock = std::chrono::steady_clock;

// Without the node's page, whose abort word would end the tests that follow.
std::unique_ptr<Communicator> make_alone(const MpiOptions& options) {
  return make_mpi_communicator(MPI_COMM_WORLD, options, nullptr);
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return fmt::format("{}: {}", name(error.kind()), error.what());
  }
  return "";
}

// All ranks meet here whatever happened on them; whether `mine` holds anywhere.
bool anywhere(bool mine) {
  int yes = mine, any = 0;
  MPI_Allreduce(&yes, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return any != 0;
}

// Whether any rank sees any case of the suite fail under the fault.
bool notices(Fault fault) {
  for (const ConformanceCase& test : conformance_cases()) {
    const std::unique_ptr<Communicator> inner = make_alone({.deadline_s = 0.5});
    FaultyCommunicator faulty(*inner, fault);
    if (anywhere(error_of([&] { test.run(faulty, 1); }) != "")) return true;
  }
  return false;
}

TEST_CASE("mpi: every fact of the conformance suite holds", "[comm][mpi]") {
  for (const Bytes piece_bytes : {GiB, Bytes(1000)}) {
    const auto communicator = mpi_run().make_communicator({.deadline_s = 60, .piece_bytes = piece_bytes});
    for (const ConformanceCase& test : conformance_cases()) {
      if (mpi_run().size() < test.ranks_from) continue;
      if (piece_bytes < GiB && test.fact == std::string("a release waits for a late reader")) continue;  // eager pieces
      INFO(piece_bytes << " bytes a piece: " << test.fact);
      REQUIRE(error_of([&] { test.run(*communicator, 7); }) == "");
    }
  }
}

TEST_CASE("mpi: the suite notices swapped contributions", "[comm][mpi]") {
  if (mpi_run().size() >= 5) CHECK(notices(Fault::swapped_contributions));
}
TEST_CASE("mpi: the suite notices a missing arrival", "[comm][mpi]") {
  if (mpi_run().size() >= 2) CHECK(notices(Fault::missing_arrival));
}
TEST_CASE("mpi: the suite notices a skipped release", "[comm][mpi]") {
  if (mpi_run().size() >= 2) CHECK(notices(Fault::skipped_release));
}

TEST_CASE("mpi: every wait ends by its deadline and names who did not come", "[comm][mpi]") {
  const int absent = mpi_run().size() - 1;
  if (absent == 0) return;
  for (const WaitingCall& call : waiting_calls()) {
    INFO(call.name);
    const auto communicator = make_alone({.deadline_s = 0.15});
    const auto start = Clock::now();
    const std::string error = error_of([&] {
      if (mpi_run().rank() != absent) call.run(*communicator, absent);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    anywhere(false);
    if (mpi_run().rank() == absent) continue;
    INFO(error);
    CHECK(seconds < 3);
    CHECK(error.find(fmt::format("communication: rank {} waited 0.15 s in ", mpi_run().rank())) == 0);
  }
}

TEST_CASE("mpi: abort ends a wait, from another thread", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  const auto communicator = make_alone({.deadline_s = 60});
  std::string error;
  if (mpi_run().rank() == 0) {
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      communicator->abort();
    });
    std::vector<std::byte> data(10);
    error = error_of([&] { communicator->receive(data, 1); });
    other.join();
    CHECK(error.find("aborted") != std::string::npos);
  }
  anywhere(false);
}

}  // namespace
}  // namespace trireme::test
