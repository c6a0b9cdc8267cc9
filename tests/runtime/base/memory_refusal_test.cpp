#include "runtime/base/memory_refusal.h"

#include <catch2/catch.hpp>

#include <new>
#include <system_error>

#include "tests/support/process_limit.h"

using namespace trireme;

TEST_CASE("memory_refused: the limits of this process are named, with exit code 3") {
  CHECK(exit_code(memory_refused("a test").kind()) == 3);
  CHECK_THAT(memory_refused("a test").what(), Catch::Contains("no memory for a test"));
  const Bytes much = Bytes{1} << 46;  // the sanitizers reserve 2^44 bytes
  {
    const ProcessLimit address(RLIMIT_AS, much);
    CHECK_THAT(memory_refused("a test").what(), Catch::Contains("address space") && Catch::Contains("ulimit -v"));
    CHECK_THAT(memory_refused("a test").what(), !Catch::Contains("ulimit -d"));
  }
  const ProcessLimit data(RLIMIT_DATA, much);
  CHECK_THAT(memory_refused("a test").what(), Catch::Contains("data of a process") && Catch::Contains("ulimit -d"));
}

TEST_CASE("as_error: what the system calls a lack of memory has exit code 3; what nobody foresaw is a bug") {
  CHECK(as_error(std::bad_alloc()).kind() == ErrorKind::plan);
  CHECK(as_error(std::bad_array_new_length()).kind() == ErrorKind::plan);
  CHECK(as_error(std::system_error(std::make_error_code(std::errc::not_enough_memory))).kind() == ErrorKind::plan);
  CHECK(as_error(std::runtime_error("x")).kind() == ErrorKind::bug);
  CHECK(as_error(std::system_error(std::make_error_code(std::errc::io_error))).kind() == ErrorKind::bug);
  // No thread for another reason than memory.
  CHECK_FALSE(thread_stack_refused());
  CHECK(as_error(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again))).kind() ==
        ErrorKind::bug);
  const Error ours(ErrorKind::data, "x");
  CHECK(as_error(ours).kind() == ErrorKind::data);
  CHECK(as_error(ours).where().line() == ours.where().line());
}
