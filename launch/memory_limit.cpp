#include "launch/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace trireme {
namespace {

constexpr Bytes no_limit = std::numeric_limits<Bytes>::max();

// The number in a file of one number; none where there is no file or it says "max".
std::optional<Bytes> read_number(const std::string& path) {
  std::ifstream file(path);
  Bytes number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

Bytes left_in(const std::string& limit_path, const std::string& usage_path) {
  const std::optional<Bytes> limit = read_number(limit_path), usage = read_number(usage_path);
  return limit && usage ? std::max<Bytes>(0, *limit - *usage) : no_limit;
}

// The cgroup of this process, as `/sys/fs/cgroup` shows it.
std::string own_cgroup(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers == controller || (!controller.empty() && controllers.find(controller) != std::string::npos))
      return line.substr(second + 1);
  }
  return "/";
}

Bytes mem_available() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  Bytes kib = 0;
  while (file >> key >> kib >> unit)
    if (key == "MemAvailable:") return kib * KiB;
  return no_limit;
}

}  // namespace

Bytes available_memory_bytes() {
  Bytes available = mem_available();
  for (const std::string& group : {own_cgroup(""), std::string("/")}) {
    const std::string root = "/sys/fs/cgroup" + group;
    available = std::min(available, left_in(root + "/memory.max", root + "/memory.current"));
  }
  for (const std::string& group : {own_cgroup("memory"), std::string("/")}) {
    const std::string root = "/sys/fs/cgroup/memory" + group;
    available = std::min(available, left_in(root + "/memory.limit_in_bytes", root + "/memory.usage_in_bytes"));
  }
  return available;
}

}  // namespace trireme
