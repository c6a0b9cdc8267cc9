#include "launch/plan/memory_limit.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>

using namespace trireme;

namespace {

/// A machine of made files, which go when the test goes.
class Machine {
 public:
  Machine() { write("/proc/meminfo", "MemTotal: 9000 kB\nHugePages_Total: 0\nMemAvailable: 8000 kB\n"); }
  ~Machine() { std::filesystem::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  }
  void group(const std::string& path, const char* limit, const char* usage, const char* stat) const {
    write("/sys/fs/cgroup" + path + "/memory.max", limit);
    write("/sys/fs/cgroup" + path + "/memory.current", usage);
    write("/sys/fs/cgroup" + path + "/memory.stat", stat);
  }
  const std::string root = "memory_limit_test.root";
};

}  // namespace

TEST_CASE("available_memory_bytes: without a group it is MemAvailable") {
  const Machine machine;
  CHECK(available_memory_bytes(0, machine.root) == 8000 * KiB);
}

TEST_CASE("available_memory_bytes: file pages of the group that can be dropped count as left") {
  const Machine machine;
  machine.write("/proc/self/cgroup", "0::/a/b\n");
  machine.group("/a/b", "1000000", "900000", "anon 100000\ninactive_file 700000\nactive_file 100000\n");
  CHECK(available_memory_bytes(0, machine.root) == 900'000);
}

TEST_CASE("available_memory_bytes: a parent's limit holds for the group") {
  const Machine machine;
  machine.write("/proc/self/cgroup", "0::/a/b/c\n");
  machine.group("/a/b/c", "max", "1000", "inactive_file 0\n");
  machine.group("/a", "500000", "400000", "inactive_file 0\n");
  CHECK(available_memory_bytes(0, machine.root) == 100'000);
  machine.group("", "90000", "20000", "");
  CHECK(available_memory_bytes(0, machine.root) == 70'000);
}

TEST_CASE("available_memory_bytes: version 1, in the list of controllers by its whole name") {
  const Machine machine;
  machine.write("/proc/self/cgroup", "5:memory_other:/wrong\n4:cpu,memory:/job/step\n0::/\n");
  machine.write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "600000");
  machine.write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "300000");
  machine.write("/sys/fs/cgroup/memory/job/memory.stat", "cache 5\ntotal_inactive_file 100000\n");
  machine.write("/sys/fs/cgroup/memory/wrong/memory.limit_in_bytes", "10");
  machine.write("/sys/fs/cgroup/memory/wrong/memory.usage_in_bytes", "5");
  CHECK(available_memory_bytes(0, machine.root) == 400'000);
}

TEST_CASE("available_memory_bytes: what the asking processes hold themselves counts as left, up to the group's limit") {
  const Machine machine;
  CHECK(available_memory_bytes(500 * KiB, machine.root) == 8500 * KiB);
  machine.write("/proc/self/cgroup", "0::/a\n");
  machine.group("/a", "1000000", "400000", "inactive_file 0\n");
  CHECK(available_memory_bytes(300'000, machine.root) == 900'000);
  CHECK(available_memory_bytes(400'000, machine.root) == 1'000'000);
  CHECK(available_memory_bytes(600'000, machine.root) == 1'000'000);  // some of it is charged elsewhere
}
