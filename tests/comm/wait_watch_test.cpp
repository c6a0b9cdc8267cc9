#include "comm/wait_watch.h"

#include <catch2/catch.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/error.h"

namespace trireme::test {
namespace {

using std::chrono::milliseconds;

/// Ranks 0, 1 and 2 of one node, all shown by this process; the limits are rank 0's.
struct Node {
  static constexpr int ranks = 3;
  Node() {
    memory = static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    StatusPage::initialise(memory, ranks);
    for (int rank = 0; rank < ranks; ++rank)
      pages.push_back(std::make_unique<StatusPage>(memory, rank, ranks, rank, ranks));
    limits.page = pages[0].get();
  }
  ~Node() { munmap(memory, bytes); }
  const std::size_t bytes = static_cast<std::size_t>(StatusPage::bytes(ranks));
  std::byte* memory;
  std::vector<std::unique_ptr<StatusPage>> pages;
  WaitLimits limits;
};

// Looks until it throws; what.
std::string error_of(WaitWatch& watch, const std::vector<int>& peers) {
  try {
    while (true) {
      watch.look([&] { return peers; });
      std::this_thread::sleep_for(milliseconds(10));
    }
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::comm);
    return error.what();
  }
}

TEST_CASE("wait_watch: past the deadline it names the peers, aborts, and blames the end of the chain of waits",
          "[comm]") {
  Node node;
  node.limits.deadline_s = 0.1;
  node.pages[1]->set_waiting_for(2);
  WaitWatch watch(node.limits, "gather");
  CHECK(error_of(watch, {1}) == "rank 0 waited 0.1 s in gather for rank 1");
  CHECK(node.pages[1]->aborted());
  CHECK(node.pages[0]->blamed() == 2);
}

TEST_CASE("wait_watch: nobody blames itself, and long lists are cut", "[comm]") {
  Node node;
  node.limits.deadline_s = 0.1;
  node.pages[1]->set_waiting_for(0);
  WaitWatch watch(node.limits, "reduce");
  CHECK(error_of(watch, {1, 10, 9, 8, 7, 6, 5, 4, 3, 3, 1}) ==
        "rank 0 waited 0.1 s in reduce for ranks 1, 3, 4, 5, 6, 7, 8, 9 and 1 more");
  CHECK(!node.pages[0]->blamed());
}

TEST_CASE("wait_watch: an abort of the node or of this process ends the wait", "[comm]") {
  Node node;
  node.pages[2]->raise_abort();
  WaitWatch by_node(node.limits, "gather");
  CHECK(error_of(by_node, {1}) == "rank 0 gave up gather because the run was aborted");
  WaitLimits alone;
  alone.aborted = true;
  WaitWatch by_process(alone, "gather");
  CHECK(error_of(by_process, {1}) == "rank 0 gave up gather because the run was aborted");
}

TEST_CASE("wait_watch: a wait that lasts is shown until it ends", "[comm]") {
  Node node;
  bool shown_at_once = true;
  for (int moment = 0; moment < 50 && shown_at_once; ++moment) {
    // The wait has lasted where this thread was held up between the two.
    WaitWatch watch(node.limits, "gather");
    watch.look([] { return std::vector<int>{1}; });
    shown_at_once = node.pages[0]->end_of_waits(0) != 0;
    std::this_thread::sleep_for(milliseconds(250));
    watch.look([] { return std::vector<int>{1}; });
    CHECK(node.pages[0]->end_of_waits(0) == 1);
    watch.end();
    CHECK(node.pages[0]->end_of_waits(0) == 0);
  }
  CHECK(!shown_at_once);
}

TEST_CASE("wait_watch: a death ends the wait some seconds later, when the launcher has had its turn", "[comm]") {
  Node node;
  const pid_t process = fork();
  if (process == 0) {
    const StatusPage child(node.memory, 2, Node::ranks, 2, Node::ranks);
    _exit(0);
  }
  waitpid(process, nullptr, 0);
  const auto start = std::chrono::steady_clock::now();
  WaitWatch watch(node.limits, "gather");
  CHECK(error_of(watch, {1}) == "rank 2 died while rank 0 was in gather");
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::seconds(3));
}

}  // namespace
}  // namespace trireme::test
