#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <new>
#include <thread>

#include "comm/node/board.h"
#include "comm/node/shared_file.h"
#include "runtime/base/error.h"
#include "runtime/device/cpu/arena.h"

namespace trireme::test {
namespace {

// Longer than any machine makes another process wait: only what never comes ends by it.
constexpr int patience_ms = 60'000;

/// Another process that runs `body`; it exits with 0 where that returns true.
class Child {
 public:
  explicit Child(const std::function<bool()>& body) : process_(fork()) {
    if (process_ == 0) _exit(body() ? 0 : 1);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (process_ > 0) succeeds();
  }
  bool succeeds() {
    int status = -1;
    waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t process_;
};

std::string error_of(const SharedFile& file) {
  try {
    const SharedMapping mapping(file, FileAccess::read);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::comm);
    return error.what();
  }
  return "";
}

TEST_CASE("shared_file: another process reads what was written before and after it mapped", "[comm]") {
  const cpu::Arena arena(10'000, Pages::shared);
  arena.data()[0] = std::byte{1};
  const SharedFile file = name_file(arena.file());
  Child child([&] {
    const SharedMapping mapping(file, FileAccess::read);
    if (mapping.bytes() < 10'000 || mapping.data() == arena.data()) return false;
    // The parent writes to its own mapping when it sees this one's first answer, through a second mapping.
    const SharedMapping answer(file, FileAccess::write);
    if (mapping.data()[0] != std::byte{1}) return false;
    answer.data()[1] = std::byte{2};
    const volatile std::byte* late = mapping.data() + 9'999;
    for (int tries = 0; tries < patience_ms && *late != std::byte{3}; ++tries) usleep(1'000);
    return *late == std::byte{3};
  });
  const volatile std::byte* answer = arena.data() + 1;
  for (int tries = 0; tries < patience_ms && *answer != std::byte{2}; ++tries) usleep(1'000);
  CHECK(*answer == std::byte{2});
  arena.data()[9'999] = std::byte{3};
  CHECK(child.succeeds());
}

TEST_CASE("shared_file: another file under the same number is refused", "[comm]") {
  const cpu::Arena arena(10'000, Pages::shared), other(10'000, Pages::shared);
  SharedFile file = name_file(arena.file());
  CHECK(error_of(file) == "");
  file.number = other.file();
  CHECK(error_of(file).find("is not the peer's memory") != std::string::npos);
  file = name_file(arena.file());
  file.bytes += 4096;
  CHECK(error_of(file).find("is not the peer's memory") != std::string::npos);
}

TEST_CASE("shared_file: a pipe, a closed file and a process that is gone are refused", "[comm]") {
  const cpu::Arena arena(10'000, Pages::shared);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  SharedFile file = name_file(arena.file());
  file.number = ends[0];
  CHECK(error_of(file).find("is not the peer's memory") != std::string::npos);
  close(ends[0]), close(ends[1]);
  CHECK(error_of(file).find("No such file") != std::string::npos);
  file.process = 1 << 30;
  CHECK(error_of(file).find("No such file") != std::string::npos);
  errno = 0;
  CHECK_THROWS_WITH(name_file(-1), Catch::Contains("Bad file descriptor"));
}

TEST_CASE("board: a raised counter wakes a sleeper in another process", "[comm]") {
  const cpu::Arena arena(sizeof(Board), Pages::shared);
  auto* board = new (arena.data()) Board;
  const auto start = std::chrono::steady_clock::now();
  Child sleeper([&] {
    ++board->sleepers;
    while (true) {
      const std::uint32_t seen = board->changes;
      if (board->arrived >= 3) return true;
      board->sleep(seen, std::chrono::milliseconds(2 * patience_ms));
    }
  });
  while (board->sleepers == 0) std::this_thread::yield();
  for (std::int64_t n = 1; n <= 3; ++n) board->raise(board->arrived, n);
  CHECK(sleeper.succeeds());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(patience_ms));
}

TEST_CASE("board: a sleep ends by its time", "[comm]") {
  Board board;
  const auto start = std::chrono::steady_clock::now();
  board.sleep(0, std::chrono::milliseconds(5));
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(4));
  board.sleep(1, std::chrono::milliseconds(2 * patience_ms));  // something has changed
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(patience_ms));
}

}  // namespace
}  // namespace trireme::test
