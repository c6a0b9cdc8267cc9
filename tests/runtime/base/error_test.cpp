#include "runtime/base/error.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace trireme;

TEST_CASE("Error: kinds have the exit codes of the design") {
  CHECK(exit_code(ErrorKind::config) == 2);
  CHECK(exit_code(ErrorKind::plan) == 3);
  CHECK(exit_code(ErrorKind::data) == 4);
  CHECK(exit_code(ErrorKind::checkpoint) == 5);
  CHECK(exit_code(ErrorKind::numeric) == 6);
  CHECK(exit_code(ErrorKind::comm) == 7);
  CHECK(exit_code(ErrorKind::device) == 8);
  CHECK(exit_code(ErrorKind::bug) == 70);
  std::set<std::string> names;
  for (ErrorKind kind : {ErrorKind::config, ErrorKind::plan, ErrorKind::data, ErrorKind::checkpoint, ErrorKind::numeric,
                         ErrorKind::comm, ErrorKind::device, ErrorKind::bug})
    names.insert(name(kind));
  CHECK(names.size() == 8);
}

TEST_CASE("Error: context goes in front, kind and place stay") {
  const Error error(ErrorKind::data, "gone");
  const Error outer = error.with_context("op 12").with_context("rank 3");
  CHECK(std::string(outer.what()) == "rank 3: op 12: gone");
  CHECK(outer.kind() == ErrorKind::data);
  CHECK(outer.where().line() == error.where().line());
}

TEST_CASE("require and ensure: throw what they were told, with the place of the call, and only if need be") {
  CHECK_NOTHROW(require(true, ErrorKind::data, "{}", 1));
  CHECK_THROWS_WITH(require(false, ErrorKind::data, "{} of {}", 1, 2), "1 of 2");
  try {
    ensure(false, "{} is odd", 3);
    FAIL("ensure(false) returned");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::bug);
    CHECK(std::string(error.what()) == "3 is odd");
    CHECK(std::string(error.where().file_name()).find("error_test.cpp") != std::string::npos);
  }
}
