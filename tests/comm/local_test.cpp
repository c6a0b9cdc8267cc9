#include <catch2/catch.hpp>

#include <chrono>
#include <mutex>
#include <thread>

#include "comm/local/local_group.h"
#include "tests/comm/conformance.h"
#include "tests/comm/faulty_communicator.h"
#include "tests/comm/oracle.h"

namespace trireme::test {
namespace {

using Clock = std::chrono::steady_clock;

/// Runs `body` on every rank; the error of each rank, "" where there was none.
std::vector<std::string> run_ranks(int size, const LocalOptions& options,
                                   const std::function<void(Communicator&)>& body) {
  LocalGroup group(size, options);
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      const std::unique_ptr<Communicator> communicator = group.rank(rank);
      try {
        body(*communicator);
      } catch (const Error& error) {
        errors[static_cast<std::size_t>(rank)] = fmt::format("{}: {}", name(error.kind()), error.what());
        if (error.kind() != ErrorKind::comm) communicator->abort();
      }
    });
  for (std::thread& thread : threads) thread.join();
  TestMemory::free_all();
  return errors;
}

std::string first_of(const std::vector<std::string>& errors) {
  for (const std::string& error : errors)
    if (!error.empty()) return error;
  return "";
}

// Whether any case of the suite fails under the fault.
bool notices(Fault fault) {
  const int size = 5;
  for (const ConformanceCase& test : conformance_cases()) {
    const auto errors = run_ranks(size, {.deadline_s = fault == Fault::none ? 60 : 0.5}, [&](Communicator& inner) {
      FaultyCommunicator faulty(inner, fault);
      test.run(faulty, 1);
    });
    if (!first_of(errors).empty()) return true;
  }
  return false;
}

TEST_CASE("local: every fact of the conformance suite holds from 1 to 8 ranks", "[comm]") {
  for (int size : {1, 2, 3, 4, 5, 7, 8})
    for (const ConformanceCase& test : conformance_cases()) {
      if (size < test.ranks_from) continue;
      INFO(size << " ranks: " << test.fact);
      const auto seed = static_cast<std::uint64_t>(size);
      REQUIRE(first_of(run_ranks(size, {.deadline_s = 60}, [&](Communicator& c) { test.run(c, seed); })) == "");
    }
}

TEST_CASE("local: the conformance suite holds with pauses between reads of peers' memory", "[comm]") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    for (const ConformanceCase& test : conformance_cases()) {
      INFO("seed " << seed << ": " << test.fact);
      const LocalOptions options{.deadline_s = 60, .seed = seed, .max_delay_us = 300};
      REQUIRE(first_of(run_ranks(4, options, [&](Communicator& c) { test.run(c, seed); })) == "");
    }
}

TEST_CASE("local: the suite notices swapped contributions", "[comm]") {
  REQUIRE(notices(Fault::swapped_contributions));
}
TEST_CASE("local: the suite notices a missing arrival", "[comm]") { REQUIRE(notices(Fault::missing_arrival)); }
// A data race by intent.
TEST_CASE("local: the suite notices a skipped release", "[comm][race]") { REQUIRE(notices(Fault::skipped_release)); }
TEST_CASE("local: the suite passes through a decorator without fault", "[comm]") { REQUIRE(!notices(Fault::none)); }

TEST_CASE("local: every wait ends by its deadline and names who did not come", "[comm]") {
  for (const WaitingCall& call : waiting_calls()) {
    INFO(call.name);
    const int absent = 2;
    const auto start = Clock::now();
    const auto errors = run_ranks(3, {.deadline_s = 0.2}, [&](Communicator& c) {
      if (c.rank() != absent) call.run(c, absent);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    CHECK(seconds >= 0.2);
    CHECK(seconds < 2);
    for (int rank = 0; rank < 2; ++rank) {
      INFO(errors[static_cast<std::size_t>(rank)]);
      CHECK(errors[static_cast<std::size_t>(rank)].find("communication: ") == 0);
      CHECK(errors[static_cast<std::size_t>(rank)].find("for rank 2") != std::string::npos);
    }
  }
}

TEST_CASE("local: ranks that are at different calls end with an error, and one of them names both", "[comm]") {
  for (const DisagreeingCall& call : disagreeing_calls()) {
    const auto errors = run_ranks(3, {.deadline_s = 0.3}, [&](Communicator& c) { call.run(c, 2); });
    bool names_both = false;
    for (const std::string& error : errors) {
      INFO(call.name << ": " << error);
      CHECK(error.find("communication: ") == 0);
      names_both |= error.find("collective 1 is ") != std::string::npos;
    }
    CHECK(names_both);
  }
}

TEST_CASE("local: abort ends every wait of every rank", "[comm]") {
  for (const WaitingCall& call : waiting_calls()) {
    INFO(call.name);
    const auto start = Clock::now();
    const auto errors = run_ranks(3, {.deadline_s = 60}, [&](Communicator& c) {
      if (c.rank() != 2) return call.run(c, 2);
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      c.abort();
    });
    CHECK(std::chrono::duration<double>(Clock::now() - start).count() < 10);
    for (int rank = 0; rank < 2; ++rank)
      CHECK(errors[static_cast<std::size_t>(rank)].find("aborted") != std::string::npos);
  }
}

}  // namespace
}  // namespace trireme::test
