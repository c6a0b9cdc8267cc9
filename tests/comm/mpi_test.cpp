#include <catch2/catch.hpp>

#include <signal.h>
#include <unistd.h>

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

// Without the node's page, whose abort word would end the tests that follow. Sharing is a wait, too: once more where a
// rank was held up for longer than a deadline that is meant for another wait.
std::unique_ptr<Communicator> make_alone(const Transport& transport, double deadline_s) {
  MpiOptions options = transport.options;
  options.deadline_s = deadline_s;
  std::unique_ptr<Communicator> made;
  std::string error;
  for (int tries = 0; tries < 20; ++tries) {
    made.reset();
    error = error_of([&] { made = share_memory(make_mpi_communicator(MPI_COMM_WORLD, options, nullptr)); });
    if (!anywhere(!error.empty())) return made;
  }
  throw Error(ErrorKind::comm, error.empty() ? "another rank could not share its memory" : error);
}

// Whether any rank sees any case of the suite fail under the fault: by a wrong value or, where a rank stays away, by a
// deadline. A value is wrong only where it is read late: other moments, where the ranks met none.
bool notices(Fault fault, const Transport& transport) {
  const bool by_value = fault != Fault::missing_arrival;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    for (const ConformanceCase& test : conformance_cases()) {
      const std::unique_ptr<Communicator> inner = make_alone(transport, 0.5);
      FaultyCommunicator faulty(*inner, fault);
      const std::string error = error_of([&] { test.run(faulty, seed); });
      if (anywhere(by_value ? error.find("data: ") == 0 : !error.empty())) return true;
    }
  return false;
}

TEST_CASE("mpi: every fact of the conformance suite holds on every transport", "[comm][mpi]") {
  for (const Transport& transport : transports)
    for (const Bytes piece_bytes : {GiB, Bytes(1000)}) {
      MpiOptions options = transport.options;
      options.deadline_s = 600, options.piece_bytes = piece_bytes;
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
  const auto communicator = share_memory(mpi_run().make_communicator({.deadline_s = 600, .share = shares}));
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
  const auto c = make_alone(transports[1], 600);
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

// Rank 1 comes `late` after rank 0 said that it is about to gather; how long rank 0's log says that it waited.
Clock::duration wait_for_late_rank(Communicator& c, SmallSlice& slice, Clock::duration late) {
  std::vector<WaitInterval> waits(100);
  std::byte word{};
  c.barrier();
  while (c.take_waits(waits) > 0) continue;
  const auto start = Clock::now();
  if (c.rank() == 0) c.send({&word, 1}, 1);
  if (c.rank() == 1) c.receive({&word, 1}, 0), std::this_thread::sleep_for(late);
  slice.gather(c);
  waits.resize(c.take_waits(waits));
  Clock::duration waited{0};
  for (const WaitInterval& wait : waits) {
    CHECK((start <= wait.start && wait.start <= wait.end && wait.end <= Clock::now()));
    waited += wait.end - wait.start;
  }
  CHECK(c.take_waits(waits) == 0);
  c.release(slice.slice.view().data);
  return waited;
}

TEST_CASE("mpi: a wait for a peer that has not come is logged, and its end", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  const auto c = make_alone(transports[1], 600);
  SmallSlice slice;
  slice.gather(*c);
  c->release(slice.slice.view().data);
  // Ranks share cores: rank 0 may come to its gather no sooner than rank 1. Not each time.
  constexpr auto late = std::chrono::milliseconds(60);
  bool logged = false;
  for (int moment = 0; moment < 50 && !logged; ++moment) {
    const bool mine = wait_for_late_rank(*c, slice, late) > late / 2;
    int rank0 = mine;
    MPI_Bcast(&rank0, 1, MPI_INT, 0, MPI_COMM_WORLD);
    logged = rank0 != 0;
  }
  CHECK(logged);
  anywhere(false);
}

/// A process of this machine that stands still until the end of the scope.
class Stopped {
 public:
  explicit Stopped(pid_t process) : process_(process) { kill(process_, SIGSTOP); }
  ~Stopped() { kill(process_, SIGCONT); }
  Stopped(const Stopped&) = delete;

 private:
  pid_t process_;
};

// Rank 0 stands still while it waits for rank 1 to have read its slice, and rank 1 has before it goes on.
TEST_CASE("mpi: a rank that was held up past its deadline sees first whether its peer has come", "[comm][mpi]") {
  if (mpi_run().size() != 2) return;
  constexpr auto deadline = std::chrono::seconds(3);
  const auto c = make_alone(transports[1], std::chrono::duration<double>(deadline).count());
  const std::string error = error_of([&] {
    SmallSlice slice;
    pid_t waiting = getpid();
    const auto read_by_1 = [&] {
      const int reader = 1;
      const View full = c->rank() == reader ? slice.full.view() : View();
      c->gather({.slice = slice.slice.view(), .range = {0, 2, 1}, .full = full, .to = {&reader, 1}});
    };
    if (c->rank() == 0) {
      read_by_1();
      c->send(std::as_bytes(std::span(&waiting, 1)), 1);
    } else {
      c->receive(std::as_writable_bytes(std::span(&waiting, 1)), 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // most often it waits by then
      const Stopped stopped(waiting);
      read_by_1();
      std::this_thread::sleep_for(deadline);
    }
    c->release(slice.slice.view().data);
  });
  CHECK(error == "");
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
    CHECK(seconds < late_s);
    CHECK(error.find(fmt::format("communication: rank {} waited 0.15 s in ", mpi_run().rank())) == 0);
  }
}

/// Whether this rank's error names what two ranks are at.
bool names_both(const Transport& transport, const DisagreeingCall& call, double deadline_s) {
  const int odd = mpi_run().size() - 1;
  const auto communicator = make_alone(transport, deadline_s);
  const std::string error = error_of([&] { call.run(*communicator, odd); });
  anywhere(false);
  INFO(transport.name << ", " << call.name << ": " << error);
  CHECK(error.find("communication: ") == 0);
  const char* theirs = call.name == std::string("another collective") ? "all_reduce of 8 bytes" : "gather of ";
  return error.find("communication: collective 1 is ") == 0 && error.find(theirs) != std::string::npos &&
         error.find(fmt::format("on rank {}", odd)) != std::string::npos;
}

TEST_CASE("mpi: ranks that are at different calls end with an error, in place one that names both", "[comm][mpi]") {
  if (mpi_run().size() == 1) return;
  for (const Transport& transport : transports)
    for (const DisagreeingCall& call : disagreeing_calls()) {
      bool all_name_both = false;
      for (const double deadline_s : growing_deadlines_s) {
        all_name_both = !anywhere(!names_both(transport, call, deadline_s));
        if (all_name_both || &transport != &transports[1]) break;
      }
      INFO(transport.name << ", " << call.name);
      CHECK((all_name_both || &transport != &transports[1]));
    }
}

TEST_CASE("mpi: abort ends a wait, from another thread", "[comm][mpi]") {
  if (mpi_run().size() < 2) return;
  for (const Transport& transport : {transports[0], transports[1]}) {
    const auto communicator = make_alone(transport, 600);
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
