#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/status_page.h"
#include "comm/termination.h"

namespace trireme::test {
namespace {

/// The page of a node whose ranks 4, 5, ... are shown by this process, of a world of 8.
struct Node {
  explicit Node(int ranks) : bytes(static_cast<std::size_t>(StatusPage::bytes(ranks))) {
    memory = static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    StatusPage::initialise(memory, ranks);
    for (int i = 0; i < ranks; ++i) pages.push_back(std::make_unique<StatusPage>(memory, i, ranks, 4 + i, 8));
  }
  ~Node() { munmap(memory, bytes); }
  std::size_t bytes;
  std::byte* memory;
  std::vector<std::unique_ptr<StatusPage>> pages;
};

std::string describe(const StatusPage& page, int rank) {
  StatusLine line;
  page.describe(line, rank);
  return std::string(line.text());
}

/// What a child process writes to standard error while it runs `body`, and how it ended.
struct Child {
  std::string text;
  int status = 0;
};
Child run_child(const std::function<void()>& body) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(ends[1]);
  Child child;
  char buffer[256];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;)
    child.text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  waitpid(pid, &child.status, 0);
  return child;
}

TEST_CASE("status_page: one rank of a node wins the message, once", "[comm]") {
  Node node(3);
  CHECK(!node.pages[0]->aborted());
  CHECK(!node.pages[0]->win_message());
  node.pages[1]->raise_abort();
  node.pages[0]->raise_abort();
  CHECK(node.pages[2]->aborted());
  CHECK(!node.pages[0]->win_message());
  CHECK(node.pages[1]->win_message());
  CHECK(!node.pages[1]->win_message());
  CHECK(!node.pages[0]->inherit_message());
}

TEST_CASE("status_page: where the owner of the message stays silent, one other rank has it", "[comm]") {
  Node node(3);
  node.pages[1]->raise_abort();
  CHECK(node.pages[0]->inherit_message());
  CHECK(!node.pages[2]->inherit_message());
  CHECK(!node.pages[1]->win_message());
}

TEST_CASE("status_page: a rank is described by what it does", "[comm]") {
  Node node(2);
  StatusPage& page = *node.pages[1];
  CHECK(describe(page, 5) == "its first op");
  page.begin(StreamId::comm, ScheduleKind::enter, 2, OpKind::gather, 0);
  CHECK(describe(page, 5) == "enter op 2 gather unit 0");
  page.set_step(3);
  page.begin(StreamId::compute, ScheduleKind::step, 41, OpKind::backward, 4);
  CHECK(describe(*node.pages[0], 5) == "step 3, op 41 backward unit 4");
  page.end(StreamId::compute);
  CHECK(describe(page, 5) == "step 3, enter op 2 gather unit 0");  // still runs
  page.end(StreamId::comm);
  CHECK(describe(page, 5) == "step 3, op 41 backward unit 4");
  page.begin(StreamId::compute, ScheduleKind::step, 42, OpKind::verdict, std::nullopt);
  CHECK(describe(page, 5) == "step 3, op 42 verdict");
  page.set_waiting_for(4);
  CHECK(describe(page, 5) == "step 3, enter op 2 gather unit 0");
  CHECK(describe(page, 0) == "an op on another node");
}

TEST_CASE("status_page: a chain of waits ends at the rank that waits for nobody", "[comm]") {
  Node node(4);
  node.pages[0]->set_waiting_for(5);
  node.pages[1]->set_waiting_for(7);
  CHECK(node.pages[0]->end_of_waits(5) == 7);
  CHECK(node.pages[0]->end_of_waits(7) == 7);
  node.pages[3]->set_waiting_for(1);
  CHECK(!node.pages[0]->end_of_waits(5));  // leaves the node
  node.pages[3]->set_waiting_for(4);
  CHECK(node.pages[0]->end_of_waits(5));  // a ring
}

TEST_CASE("status_page: a process that went away is dead, reaped or not, unless it said that it finished", "[comm]") {
  Node node(2);
  StatusPage& page = *node.pages[0];
  CHECK(!page.find_dead());
  const pid_t pid = fork();
  if (pid == 0) {
    StatusPage child(node.memory, 1, 2, 5, 8);
    child.begin(StreamId::compute, ScheduleKind::step, 7, OpKind::forward, 1);
    _exit(0);
  }
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  CHECK(page.find_dead() == 5);
  waitpid(pid, nullptr, 0);
  CHECK(page.find_dead() == 5);
  StatusLine line;
  write_death(line, page, 5);
  CHECK(line.text() == "trireme: rank 5 died at op 7 forward unit 1; 8 ranks stopped\n");
  node.pages[1]->set_finished();
  CHECK(!page.find_dead());
}

TEST_CASE("status_page: a process that could never be seen is not called dead", "[comm]") {
  Node node(2);
  const pid_t pid = fork();
  if (pid == 0) {
    StatusPage child(node.memory, 1, 2, 5, 8);
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  node.pages[0]->look_around();
  CHECK(!node.pages[0]->find_dead());
}

TEST_CASE("termination: SIGTERM names the dead rank, and ends the process by the signal", "[comm]") {
  Node node(2);
  const Child dead = run_child([&] { StatusPage page(node.memory, 1, 2, 5, 8); });
  CHECK(dead.text.empty());
  const Child child = run_child([&] {
    StatusPage page(node.memory, 0, 2, 4, 8);
    const TerminationNotice notice(page);
    raise(SIGTERM);
  });
  CHECK(child.text == "trireme: rank 5 died at its first op; 8 ranks stopped\n");
  CHECK((WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGTERM));
  const Child late = run_child([&] {  // the message is said
    StatusPage page(node.memory, 1, 2, 5, 8);
    const TerminationNotice notice(page);
    raise(SIGTERM);
  });
  CHECK(late.text.empty());
}

TEST_CASE("termination: SIGTERM without a death says so", "[comm]") {
  Node node(1);
  const Child child = run_child([&] {
    StatusPage page(node.memory, 0, 1, 4, 8);
    const TerminationNotice notice(page);
    raise(SIGTERM);
  });
  CHECK(child.text == "trireme: terminated by a signal\n");
}

TEST_CASE("status_line: cuts what does not fit", "[comm]") {
  StatusLine line;
  line << "a" << -12 << " " << INT64_MIN;
  CHECK(line.text() == "a-12 -9223372036854775808");
  for (int i = 0; i < 300; ++i) line << "0123456789";
  CHECK(line.text().size() == 2000);
}

}  // namespace
}  // namespace trireme::test
