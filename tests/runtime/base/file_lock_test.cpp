#include "runtime/base/file_lock.h"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

using trireme::FileLock;
using State = FileLock::State;

namespace {

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a file is held by one lock at a time, also of one process, and is gone with it") {
  const std::string path = "file_lock_test.tmp";
  {
    const FileLock first(path);
    REQUIRE(first.state() == State::held);
    first.sign();
    const FileLock second(path);
    CHECK(second.state() == State::busy);
    CHECK(second.holder().find("process " + std::to_string(::getpid())) == 0);
  }
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(FileLock(path).state() == State::held);
}

TEST_CASE("a lock ends with its process, however that ends") {
  const std::string path = "file_lock_killed.tmp";
  const pid_t child = ::fork();
  if (child == 0) {
    const FileLock lock(path);
    ::_exit(lock.state() == State::held ? 0 : 1);  // without a destructor
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(std::filesystem::exists(path));
  CHECK(FileLock(path, FileLock::Missing::fail).state() == State::held);
}

TEST_CASE("a lock neither changes a file nor takes away what another put in its place") {
  const std::string path = "file_lock_moved.tmp";
  std::ofstream(path) << "text";
  {
    const FileLock lock(path);
    CHECK(text_of(path) == "text");
    std::filesystem::rename(path, path + ".moved");
    std::ofstream(path) << "another";
    CHECK(FileLock(path + ".moved").state() == State::busy);
  }
  CHECK(text_of(path) == "another");
  CHECK(text_of(path + ".moved") == "text");
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".moved");
}

TEST_CASE("a lock says why its file cannot be opened") {
  CHECK(FileLock("no_such_folder/file").error() == std::errc::no_such_file_or_directory);
  CHECK(FileLock("file_lock_missing.tmp", FileLock::Missing::fail).error() == std::errc::no_such_file_or_directory);
  CHECK(FileLock(".").error() == std::errc::is_a_directory);
  CHECK_FALSE(std::filesystem::exists("file_lock_missing.tmp"));
}
