#include "launch/plan/plan_report.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace trireme {
namespace {

constexpr Role printed_roles[] = {Role::parameters,  Role::gathered,  Role::gradients,     Role::optimizer,
                                  Role::activations, Role::workspace, Role::communication, Role::data};

Bytes role_bytes(const ArenaPlan& arena, Role role) { return arena.role_bytes[static_cast<std::size_t>(role)]; }

// By kind, as printed and as JSON names them.
std::array<std::pair<const char*, Bytes>, 5> kinds(const PlannedStates& states) {
  return {{{"parameters", states.parameters},
           {"masters", states.masters},
           {"optimizer", states.optimizer},
           {"gradients", states.gradients},
           {"sums", states.sums}}};
}

}  // namespace

std::string print_plan(const std::vector<RankPlan>& plans, int ranks_per_node) {
  std::string text;
  for (const RankPlan& plan : plans) {
    const ArenaPlan& arena = plan.arena;
    text += fmt::format("{}: arena {} ({} bytes)\n", describe(plan.ranks), format_bytes(arena.peak_bytes),
                        arena.peak_bytes);
    text += fmt::format("  peak in schedule {}, {}\n", name(arena.peak_schedule), plan.peak_op);
    for (Role role : printed_roles)
      text += fmt::format("  {:<14} {:>12}  {:>16}\n", name(role), format_bytes(role_bytes(arena, role)),
                          role_bytes(arena, role));
    text += fmt::format("  {:<14} {:>12}  {:>16}\n", "fragmentation", format_bytes(arena.fragmentation_bytes),
                        arena.fragmentation_bytes);
    text += fmt::format("  {:<14} {:>12}  {:>16}  alive in every schedule\n", "states",
                        format_bytes(arena.states_bytes), arena.states_bytes);
    if (plan.load_bytes > 0)
      text += fmt::format("  {:<14} {:>12}  {:>16}  of the arena while the model folder is read\n", "load",
                          format_bytes(plan.load_bytes), plan.load_bytes);
    text += fmt::format("  {:<14} {:>12}  {:>16}  of the heap while programs are built and checked, before that\n",
                        "building", format_bytes(plan.building_bytes), plan.building_bytes);
    const Bytes remainder = plan.remainder.total();
    text +=
        fmt::format("  {:<14} {:>12}  {:>16}  beside the arena:\n", "remainder", format_bytes(remainder), remainder);
    for (const Remainder::Part& part : plan.remainder.parts())
      text += fmt::format("    {:<12} {:>12}  {:>16}\n", part.name, format_bytes(part.bytes), part.bytes);
    text += "  training state, of which sums of gradients are alive during a step alone:\n";
    for (const auto& [kind, bytes] : kinds(plan.states))
      text += fmt::format("    {:<12} {:>12}  {:>16}\n", kind, format_bytes(bytes), bytes);
    text += fmt::format("  wire of a step: gathers {} bytes, reduces {} bytes\n", plan.wire.gathers.total(),
                        plan.wire.reduces.total());
  }
  const Bytes node = host_bytes_per_node(plans, ranks_per_node);
  text += fmt::format("node of {} ranks: {} ({} bytes)\n", ranks_per_node, format_bytes(node), node);
  return text;
}

std::string print_plan_json(const std::vector<RankPlan>& plans, int ranks_per_node) {
  nlohmann::ordered_json json;
  json["ranks"] = nlohmann::ordered_json::array();
  for (const RankPlan& plan : plans) {
    nlohmann::ordered_json roles;
    for (Role role : printed_roles) roles[name(role)] = role_bytes(plan.arena, role);
    roles["fragmentation"] = plan.arena.fragmentation_bytes;
    nlohmann::ordered_json remainder;
    for (const Remainder::Part& part : plan.remainder.parts()) remainder[std::string(part.name)] = part.bytes;
    nlohmann::ordered_json states;
    for (const auto& [kind, bytes] : kinds(plan.states)) states[kind] = bytes;
    const nlohmann::ordered_json wire = {{"gathers_bytes", plan.wire.gathers.total()},
                                         {"reduces_bytes", plan.wire.reduces.total()}};
    json["ranks"].push_back({{"class", describe(plan.ranks)},
                             {"count", plan.ranks.count},
                             {"peak_bytes", plan.arena.peak_bytes},
                             {"peak_schedule", name(plan.arena.peak_schedule)},
                             {"peak_op", plan.arena.peak_op},
                             {"roles", roles},
                             {"states_bytes", plan.arena.states_bytes},
                             {"building_bytes", plan.building_bytes},
                             {"remainder_bytes", plan.remainder.total()},
                             {"remainder", remainder},
                             {"states", states},
                             {"wire", wire}});
    if (plan.load_bytes > 0) json["ranks"].back()["load_bytes"] = plan.load_bytes;
  }
  json["host_bytes_per_node"] = host_bytes_per_node(plans, ranks_per_node);
  return json.dump(2) + "\n";
}

}  // namespace trireme
