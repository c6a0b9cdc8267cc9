#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

#include "comm/mpi/mpi_communicator.h"
#include "runtime/device/cpu/arena.h"
#include "tests/comm/conformance.h"
#include "tests/comm/faulty_communicator.h"
#include "tests/comm/mpi_main.h"
#include "tests/comm/oracle.h"

namespace trireme::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Bytes memory_bytes = 48 * MiB;

/// How the ranks of a run reach each other.
struct Transport {
  const char* name;
  MpiOptions options;
};
const Transport transports[] = {
    {"messages", {.share = false}},
    {"in place", {}},
    {"in place within pairs, messages between them", {.ranks_per_node = 2}},
    {"in place within threes, messages between them", {.ranks_per_node = 3}},
};

// What tests export lies in it; the largest case takes a full buffer of 8 ranks and a slice, 4 MiB each.
cpu::Arena& memory() {
  static cpu::Arena arena(memory_bytes, Pages::shared);
  return arena;
}

std::unique_ptr<Communicator> share_memory(std::unique_ptr<Communicator> communicator) {
  TestMemory::take_from(memory().data(), memory_bytes);
  communicator->share({.data = memory().data(), .bytes = memory_bytes, .file = memory().file()});
  return communicator;
}

// Without the node's page, whose abort word would end the tests that follow.
std::unique_ptr<Communicator> make_alone(const Transport& transport, double deadline_s) {
  MpiOptions options = transport.options;
  options.deadline_s = deadline_s;
  return share_memory(make_mpi_communicator(MPI_COMM_WORLD, options, nullptr));
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return fmt::format("{}: {}", name(error.kind()), error.what());
  }
  return "";
}

// All ranks meet here whatever happened on them, and free what they took; whether `mine` holds anywhere.
bool anywhere(bool mine) {
  int yes = mine, any = 0;
  MPI_Allreduce(&yes, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  TestMemory::free_all();
  return any != 0;
}

// Whether any rank sees any case of the suite fail under the fault.
bool notices(Fault fault, const Transport& transport) {
  for (const ConformanceCase& test : conformance_cases()) {
    const std::unique_ptr<Communicator> inner = make_alone(transport, 0.5);
    FaultyCommunicator faulty(*inner, fault);
    if (anywhere(error_of([&] { test.run(faulty, 1); }) != "")) return true;
  }
  return false;
}

TEST_CASE("mpi: every fact of the conformance suite holds on every transport", "[comm][mpi]") {
  for (const Transport& transport : transports)
    for (const Bytes piece_bytes : {GiB, Bytes(1000)}) {
      MpiOptions options = transport.options;
      options.deadline_s = 60, options.piece_bytes = piece_bytes;
      const auto communicator = share_memory(mpi_run().make_communicator(options));
      for (const ConformanceCase& test : conformance_cases()) {
        if (mpi_run().size() < test.ranks_from) continue;
        if (piece_bytes < GiB && test.fact == std::string("a release waits for a late reader"))
          continue;  // eager pieces
        INFO(transport.name << ", " << piece_bytes << " bytes a piece: " << test.fact);
        REQUIRE(error_of([&] { test.run(*communicator, 7); }) == "");
        anywhere(false);
      }
    }
}

TEST_CASE("mpi: the suite notices swapped contributions", "[comm][mpi]") {
  if (mpi_run().size() < 5) return;
  for (const Transport& transport : transports) CHECK(notices(Fault::swapped_contributions, transport));
}
TEST_CASE("mpi: the suite notices a missing arrival", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  for (const Transport& transport : transports) CHECK(notices(Fault::missing_arrival, transport));
}
TEST_CASE("mpi: the suite notices a skipped release", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  for (const Transport& transport : transports) CHECK(notices(Fault::skipped_release, transport));
}

TEST_CASE("mpi: where one rank of a node does not share, all of it exchange messages", "[comm][mpi]") {
  const bool shares = mpi_run().rank() != 0;
  const auto communicator = share_memory(mpi_run().make_communicator({.deadline_s = 60, .share = shares}));
  for (int rank = 0; rank < mpi_run().size(); ++rank) CHECK(communicator->node_of(rank) == rank);
  CHECK(error_of([&] { conformance_cases()[0].run(*communicator, 1); }) == "");
  anywhere(false);
}

TEST_CASE("mpi: ranks know who shares memory", "[comm][mpi]") {
  const int size = mpi_run().size();
  const auto numbers = [&](const MpiOptions& options) {
    const auto communicator = mpi_run().make_communicator(options);
    std::vector<int> list;
    for (int rank = 0; rank < size; ++rank) list.push_back(communicator->node_of(rank));
    return list;
  };
  for (int rank = 0; rank < size; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    CHECK(numbers({})[at] == 0);
    CHECK(numbers({.share = false})[at] == rank);
    CHECK(numbers({.ranks_per_node = 2})[at] == rank - rank % 2);
  }
}

/// A slice of one element that is gathered by all.
struct SmallSlice {
  SmallSlice() : slice(DType::f32, 1), full(DType::f32, mpi_run().size()) {
    slice.set(0, static_cast<float>(mpi_run().rank()));
    for (int rank = 0; rank < mpi_run().size(); ++rank) all.push_back(rank);
  }
  void gather(Communicator& c) {
    c.gather({.slice = slice.view(), .range = {0, c.size(), 1}, .full = full.view(), .to = all});
    for (int rank = 0; rank < c.size(); ++rank) check(full.get(rank) == static_cast<float>(rank), "a wrong slice");
  }
  Tensor slice, full;
  std::vector<int> all;
};

// Rank 1 comes to its second gather only when rank 0 has had its own.
TEST_CASE("mpi: a value that was gathered is gathered again without waiting for its owner", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  const auto c = make_alone(transports[1], 5);
  const std::string error = error_of([&] {
    SmallSlice slice;
    std::byte word{};
    slice.gather(*c);
    if (c->rank() == 1) c->receive({&word, 1}, 0);
    slice.gather(*c);
    if (c->rank() == 0) c->send({&word, 1}, 1);
    c->release(slice.slice.view().data);
    slice.slice.set(0, static_cast<float>(c->rank()));
    slice.gather(*c);
    c->release(slice.slice.view().data);
  });
  CHECK(error == "");
  anywhere(false);
}

TEST_CASE("mpi: a wait for a peer that has not come is logged, and its end", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  const auto c = make_alone(transports[1], 5);
  SmallSlice slice;
  slice.gather(*c);
  c->release(slice.slice.view().data);
  c->barrier();
  std::vector<WaitInterval> waits(100);
  while (c->take_waits(waits) > 0) continue;
  const auto start = Clock::now();
  constexpr auto late = std::chrono::milliseconds(60);
  if (c->rank() == 1) std::this_thread::sleep_for(late);
  slice.gather(*c);
  waits.resize(c->take_waits(waits));
  Clock::duration waited{0};
  for (const WaitInterval& wait : waits) {
    CHECK((start <= wait.start && wait.start <= wait.end && wait.end <= Clock::now()));
    waited += wait.end - wait.start;
  }
  // Rank 0 came out of the barrier some time before or after rank 1; ranks share cores.
  if (c->rank() == 0) CHECK(waited > late / 2);
  CHECK(c->take_waits(waits) == 0);
  c->release(slice.slice.view().data);
  anywhere(false);
}

TEST_CASE("mpi: every wait ends by its deadline and names who did not come", "[comm][mpi]") {
  const int absent = mpi_run().size() - 1;
  if (absent == 0) return;
  const Transport& transport = transports[GENERATE(0, 1, 2)];
  for (const WaitingCall& call : waiting_calls()) {
    INFO(transport.name << ": " << call.name);
    const auto communicator = make_alone(transport, 0.15);
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

TEST_CASE("mpi: ranks that are at different calls end with an error, in place one that names both", "[comm][mpi]") {
  const int odd = mpi_run().size() - 1;
  if (odd == 0) return;
  for (const Transport& transport : transports)
    for (const DisagreeingCall& call : disagreeing_calls()) {
      const auto communicator = make_alone(transport, 0.3);
      const std::string error = error_of([&] { call.run(*communicator, odd); });
      anywhere(false);
      INFO(transport.name << ", " << call.name << ": " << error);
      CHECK(error.find("communication: ") == 0);
      if (&transport != &transports[1]) continue;
      CHECK(error.find("communication: collective 1 is ") == 0);
      const char* theirs = call.name == std::string("another collective") ? "all_reduce of 8 bytes" : "gather of ";
      CHECK(error.find(theirs) != std::string::npos);
      CHECK(error.find(fmt::format("on rank {}", odd)) != std::string::npos);
    }
}

TEST_CASE("mpi: abort ends a wait, from another thread", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  for (const Transport& transport : {transports[0], transports[1]}) {
    const auto communicator = make_alone(transport, 60);
    if (mpi_run().rank() == 0) {
      std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        communicator->abort();
      });
      const std::string error = error_of([&] { SmallSlice().gather(*communicator); });
      other.join();
      INFO(transport.name << ": " << error);
      CHECK(error.find("aborted") != std::string::npos);
    }
    anywhere(false);
  }
}

}  // namespace
}  // namespace trireme::test
