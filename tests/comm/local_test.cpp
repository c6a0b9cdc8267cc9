#include <catch2/catch.hpp>

#include <algorithm>
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

// Whether any case of the suite fails under the fault, by a wrong value or, where a rank stays away, by a deadline.
bool notices(Fault fault, std::uint64_t seed = 1) {
  const int size = 5;
  const bool by_value = fault == Fault::swapped_contributions || fault == Fault::skipped_release;
  for (const ConformanceCase& test : conformance_cases()) {
    const LocalOptions options{.deadline_s = fault == Fault::missing_arrival ? 0.5 : 600};
    const auto errors = run_ranks(size, options, [&](Communicator& inner) {
      FaultyCommunicator faulty(inner, fault);
      test.run(faulty, seed);
    });
    if (std::any_of(errors.begin(), errors.end(),
                    [&](const std::string& error) { return by_value ? error.find("data: ") == 0 : !error.empty(); }))
      return true;
  }
  return false;
}

// A value is wrong only where it is read late: other moments, where the ranks met none.
bool notices_at_some_moment(Fault fault) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    if (notices(fault, seed)) return true;
  return false;
}

/// The first rank but `absent` that does not say that it waited for it until its deadline, and what it says; "" where
/// there is none.
std::string wrong_end(const WaitingCall& call, int absent, double deadline_s) {
  const auto start = Clock::now();
  const auto errors = run_ranks(3, {.deadline_s = deadline_s}, [&](Communicator& c) {
    if (c.rank() != absent) call.run(c, absent);
  });
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  CHECK(seconds >= deadline_s);
  CHECK(seconds < deadline_s + late_s);
  for (const std::string& error : errors) {
    if (&error == &errors[static_cast<std::size_t>(absent)]) continue;
    if (error.find("communication: ") != 0 || error.find(fmt::format("for rank {}", absent)) == std::string::npos)
      return fmt::format("with a deadline of {} s: '{}'", deadline_s, error);
  }
  return "";
}

/// Whether every rank ends with an error of communication, and one of them names what two ranks are at.
bool names_both(const DisagreeingCall& call, double deadline_s) {
  bool names_both = false;
  for (const std::string& error : run_ranks(3, {.deadline_s = deadline_s}, [&](Communicator& c) { call.run(c, 2); })) {
    INFO(call.name << ": " << error);
    CHECK(error.find("communication: ") == 0);
    names_both |= error.find("collective 1 is ") != std::string::npos;
  }
  return names_both;
}

TEST_CASE("local: every fact of the conformance suite holds from 1 to 8 ranks", "[comm]") {
  for (int size : {1, 2, 3, 4, 5, 7, 8})
    for (const ConformanceCase& test : conformance_cases()) {
      if (size < test.ranks_from) continue;
      INFO(size << " ranks: " << test.fact);
      const auto seed = static_cast<std::uint64_t>(size);
      REQUIRE(first_of(run_ranks(size, {.deadline_s = 600}, [&](Communicator& c) { test.run(c, seed); })) == "");
    }
}

TEST_CASE("local: the conformance suite holds with pauses between reads of peers' memory", "[comm]") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    for (const ConformanceCase& test : conformance_cases()) {
      INFO("seed " << seed << ": " << test.fact);
      const LocalOptions options{.deadline_s = 600, .seed = seed, .max_delay_us = 300};
      REQUIRE(first_of(run_ranks(4, options, [&](Communicator& c) { test.run(c, seed); })) == "");
    }
}

TEST_CASE("local: the suite notices swapped contributions", "[comm]") {
  REQUIRE(notices(Fault::swapped_contributions));
}
TEST_CASE("local: the suite notices a missing arrival", "[comm]") { REQUIRE(notices(Fault::missing_arrival)); }
// A data race by intent.
TEST_CASE("local: the suite notices a skipped release", "[comm][race]") {
  REQUIRE(notices_at_some_moment(Fault::skipped_release));
}
TEST_CASE("local: the suite passes through a decorator without fault", "[comm]") { REQUIRE(!notices(Fault::none)); }

TEST_CASE("local: every wait ends by its deadline and names who did not come", "[comm]") {
  for (const WaitingCall& call : waiting_calls()) {
    std::string wrong = "no deadline";
    for (const double deadline_s : growing_deadlines_s)
      if (!wrong.empty()) wrong = wrong_end(call, 2, deadline_s);
    INFO(call.name << ": " << wrong);
    CHECK(wrong.empty());
  }
}

TEST_CASE("local: ranks that are at different calls end with an error, and one of them names both", "[comm]") {
  for (const DisagreeingCall& call : disagreeing_calls()) {
    INFO(call.name);
    CHECK(std::any_of(std::begin(growing_deadlines_s), std::end(growing_deadlines_s),
                      [&](double deadline_s) { return names_both(call, deadline_s); }));
  }
}

TEST_CASE("local: abort ends every wait of every rank", "[comm]") {
  for (const WaitingCall& call : waiting_calls()) {
    INFO(call.name);
    const auto start = Clock::now();
    const auto errors = run_ranks(3, {.deadline_s = 10 * late_s}, [&](Communicator& c) {
      if (c.rank() != 2) return call.run(c, 2);
      std::this_thread::sleep_for(std::chrono::milliseconds(30));  // most often they wait by then
      c.abort();
    });
    CHECK(std::chrono::duration<double>(Clock::now() - start).count() < late_s);
    for (int rank = 0; rank < 2; ++rank)
      CHECK(errors[static_cast<std::size_t>(rank)].find("aborted") != std::string::npos);
  }
}

}  // namespace
}  // namespace trireme::test
