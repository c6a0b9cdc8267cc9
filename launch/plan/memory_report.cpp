#include "launch/plan/memory_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace trireme {
namespace {

struct NodeMemory {
  std::string name;
  Bytes planned_bytes = 0, measured_bytes = 0;
  int ranks = 0;
};

std::string compare(Bytes planned_bytes, Bytes measured_bytes) {
  const auto percent = 100 * static_cast<double>(measured_bytes - planned_bytes) /
                       static_cast<double>(std::max<Bytes>(1, planned_bytes));
  return fmt::format("planned {} ({} bytes), measured {} ({} bytes), {:+.1f}%", format_bytes(planned_bytes),
                     planned_bytes, format_bytes(measured_bytes), measured_bytes, percent);
}

bool is_farther(const auto& a, const auto& b) {
  return std::abs(a.measured_bytes - a.planned_bytes) > std::abs(b.measured_bytes - b.planned_bytes);
}

}  // namespace

Bytes plan_tolerance_bytes(Bytes measured_bytes, int ranks) { return measured_bytes / 50 + ranks * 32 * MiB; }

std::string print_memory(std::span<const RankMemory> ranks) {
  std::map<int, NodeMemory> nodes;
  std::size_t worst = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (is_farther(ranks[i], ranks[worst])) worst = i;
    NodeMemory& node = nodes[ranks[i].node_first_rank];
    node.name = ranks[i].node;
    node.planned_bytes += ranks[i].planned_bytes;
    node.measured_bytes += ranks[i].measured_bytes;
    ++node.ranks;
  }
  const auto node = std::min_element(nodes.begin(), nodes.end(),
                                     [](const auto& a, const auto& b) { return is_farther(a.second, b.second); });
  std::string text = fmt::format("memory of rank {}: {}\nmemory of node {}: {}", worst,
                                 compare(ranks[worst].planned_bytes, ranks[worst].measured_bytes), node->second.name,
                                 compare(node->second.planned_bytes, node->second.measured_bytes));
  for (const auto& [first_rank, memory] : nodes) {
    const Bytes beyond = std::abs(memory.measured_bytes - memory.planned_bytes),
                bound = plan_tolerance_bytes(memory.measured_bytes, memory.ranks);
    if (beyond > bound)
      text += fmt::format(
          "\nwarning: the {} ranks of node {} held {} {} than planned; 2% and 32 MiB a rank ({}) are allowed",
          memory.ranks, memory.name, format_bytes(beyond),
          memory.measured_bytes > memory.planned_bytes ? "more" : "less", format_bytes(bound));
  }
  return text;
}

}  // namespace trireme
