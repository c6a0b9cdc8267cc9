#include "launch/plan/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

#include "launch/plan/process_memory.h"

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

// The value of a key in a file of "key value" lines; 0 where there is none.
Bytes read_value(const std::string& path, const std::string& wanted) {
  std::ifstream file(path);
  std::string key;
  for (Bytes value = 0; file >> key >> value;)
    if (key == wanted) return value;
  return 0;
}

/// Names of one version's files in a group's folder.
struct GroupFiles {
  const char *limit, *usage, *idle, *active;  // the last two: file pages
};
constexpr GroupFiles version_1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file",
                               "total_active_file"};
constexpr GroupFiles version_2{"/memory.max", "/memory.current", "inactive_file", "active_file"};

Bytes left_in(const std::string& folder, const GroupFiles& files, Bytes own_bytes) {
  const std::optional<Bytes> limit = read_number(folder + files.limit), usage = read_number(folder + files.usage);
  if (!limit || !usage) return no_limit;
  const std::string stat = folder + "/memory.stat";
  const Bytes held = *usage - read_value(stat, files.idle) - read_value(stat, files.active);
  return std::max<Bytes>(0, *limit - std::max<Bytes>(0, held - own_bytes));
}

// The group and all above it: each may be the one that runs out.
Bytes left_up_from(const std::string& mount, std::string group, const GroupFiles& files, Bytes own_bytes) {
  Bytes left = no_limit;
  for (;; group.resize(group.rfind('/'))) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    left = std::min(left, left_in(mount + group, files, own_bytes));
    if (group.find('/') == std::string::npos) return left;
  }
}

// Is `controller` in this list, which commas separate?
bool lists(const std::string& controllers, const std::string& controller) {
  return ("," + controllers + ",").find("," + controller + ",") != std::string::npos;
}

// The cgroup of this process; version 2's has an empty list of controllers.
std::string own_cgroup(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    if (lists(line.substr(first + 1, second - first - 1), controller)) return line.substr(second + 1);
  }
  return "/";
}

Bytes mem_available(const std::string& root, Bytes own_bytes) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line, key; std::getline(file, line);) {
    std::istringstream words(line);
    Bytes kib = 0;
    if (words >> key >> kib && key == "MemAvailable:") return kib * KiB + own_bytes;
  }
  return no_limit;
}

}  // namespace

Bytes available_memory_bytes(Bytes own_bytes, const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  return std::min({mem_available(root, own_bytes), left_up_from(mount, own_cgroup(root, ""), version_2, own_bytes),
                   left_up_from(mount + "/memory", own_cgroup(root, "memory"), version_1, own_bytes)});
}

Bytes building_limit_bytes(int processes) {
  const Bytes own = unbacked_process_bytes();
  return std::max<Bytes>(0, available_memory_bytes(processes * own) / processes - own - room_bytes);
}

}  // namespace trireme
