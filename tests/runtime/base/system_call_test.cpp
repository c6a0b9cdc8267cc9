#include "runtime/base/system_call.h"

#include <fcntl.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "tests/support/process_limit.h"

using namespace trireme;

TEST_CASE("SystemCall: the reason is that of the call, whatever errno was before and is after") {
  for (const int before : {0, EACCES}) {
    errno = before;
    const SystemCall renamed(::rename("nowhere_to_be_found", "anywhere"));
    errno = EINTR;
    CHECK_FALSE(renamed.succeeded());
    CHECK(renamed.error() == ENOENT);
    CHECK(renamed.reason() == "No such file or directory");
    const SystemCall written(::write(-1, "x", 1));
    errno = before;
    CHECK(written.reason() == "Bad file descriptor");
    const SystemCall opened(::open("/tmp", O_WRONLY));
    CHECK(opened.reason() == "Is a directory");
    CHECK(SystemCall::returned(ENOSPC).reason() == "No space left on device");
  }
}

TEST_CASE("SystemCall: what succeeded has no error, whatever errno says") {
  errno = EIO;
  const SystemCall file(::open("/dev/null", O_RDONLY));
  CHECK(file.succeeded());
  CHECK(file.error() == 0);
  CHECK(file.result() >= 0);
  ::close(static_cast<int>(file.result()));
  CHECK(SystemCall::returned(0).succeeded());
}

TEST_CASE("SystemCall: where a limit stands behind the reason it is named") {
  const ProcessLimit few(RLIMIT_NOFILE, 40);
  std::vector<int> open_files;
  SystemCall opened(::open("/dev/null", O_RDONLY));
  for (; opened.succeeded(); opened = SystemCall(::open("/dev/null", O_RDONLY)))
    open_files.push_back(static_cast<int>(opened.result()));
  for (const int file : open_files) ::close(file);  // a sanitizer's checks take descriptors, too
  CHECK(opened.lacks_descriptors());
  CHECK(opened.reason() == "Too many open files (ulimit -n is 40; raise it)");
  CHECK_THAT(SystemCall::returned(ENFILE).reason(), Catch::Contains("ulimit -n") && Catch::Contains("fs.file-max"));
  CHECK_THAT(SystemCall::returned(EFBIG).reason(), Catch::Contains("ulimit -f"));
}

TEST_CASE("SystemCall: free space is asked for only where there is none") {
  for (const int full : {ENOSPC, EDQUOT})
    CHECK(SystemCall::returned(full).place_advice() == "; free space or choose another place");
  for (const int other : {EACCES, EROFS, EIO})
    CHECK(SystemCall::returned(other).place_advice() == "; choose another place");
  for (const int limit : {EMFILE, ENFILE, EFBIG}) CHECK(SystemCall::returned(limit).place_advice().empty());
}
