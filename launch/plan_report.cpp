#include "launch/plan_report.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace trireme {
namespace {

constexpr Role printed_roles[] = {Role::parameters,  Role::gathered,  Role::gradients,     Role::optimizer,
                                  Role::activations, Role::workspace, Role::communication, Role::data};

Bytes role_bytes(const ArenaPlan& arena, Role role) { return arena.role_bytes[static_cast<std::size_t>(role)]; }

std::string rank_names(const RankClass& ranks) {
  if (ranks.count == 1) return fmt::format("rank {}", ranks.rank);
  return fmt::format("{} ranks like rank {}", ranks.count, ranks.rank);
}

// By kind, as printed and as JSON names them.
std::array<std::pair<const char*, Bytes>, 5> kinds(const PlannedStates& states) {
  return {{{"parameters", states.parameters}, {"masters", states.masters}, {"optimizer", states.optimizer},
           {"gradients", states.gradients}, {"sums", states.sums}}};
}

// Bytes of the arena that schedule load touches: the pages of all else are taken after it.
Bytes load_bytes(const RunPrograms& run) {
  std::vector<std::pair<Bytes, Bytes>> places;
  if (const Schedule* load = run.find("load"))
    for (const Buffer& buffer : load->buffers)
      if (buffer.offset) places.emplace_back(*buffer.offset, *buffer.offset + buffer.bytes());
  std::sort(places.begin(), places.end());
  Bytes bytes = 0, end = 0;
  for (const auto& [first, last] : places) {
    bytes += std::max<Bytes>(0, last - std::max(first, end));
    end = std::max(end, last);
  }
  return bytes;
}

// The largest arena of any class of ranks.
Bytes largest_arena(TrainerSettings settings, int ranks) {
  settings.device_memory = std::numeric_limits<Bytes>::max();
  const RankPrograms first = build_programs(settings, 0, ranks);
  Bytes largest = 0;
  for (const RankClass& rank_class : rank_classes(first.model, first.spec)) {
    RankPrograms programs = build_programs(settings, rank_class.rank, ranks);
    largest = std::max(largest, plan_run(programs.run, settings.device_memory).device.peak_bytes);
  }
  return largest;
}

}  // namespace

std::string fitting_change(const TrainerSettings& settings, int ranks, Bytes limit_bytes) {
  const auto fits = [&](const TrainerSettings& changed, int on_ranks) { return largest_arena(changed, on_ranks) <= limit_bytes; };
  TrainerSettings changed = settings;
  for (const Recompute policy : {Recompute::attention, Recompute::mlp, Recompute::block}) {
    changed.recompute = policy;
    if (fits(changed, ranks)) return fmt::format("memory.recompute = \"{}\" would fit, with the same bits", name(policy));
  }
  for (int more = 2 * ranks; more <= 64 * ranks && more <= 4096; more *= 2)
    if (fits(changed, more))
      return fmt::format("memory.recompute = \"block\" on {} ranks would fit, with the same bits; put them on {} times as many "
                         "nodes where this one is full", more, more / ranks);
  for (int micro_batch = settings.micro_batch / 2; micro_batch >= 1; micro_batch /= 2) {
    changed.micro_batch = micro_batch;
    if (settings.global_batch % micro_batch == 0 && fits(changed, ranks))
      return fmt::format("memory.recompute = \"block\" with train.micro_batch = {} would fit; the latter changes the trajectory",
                         micro_batch);
  }
  return "";
}

MemoryPlan plan_within_limit(const TrainerSettings& settings, int ranks, RunPrograms& run) {
  try {
    return plan_run(run, settings.device_memory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::plan) throw;
    const std::string change = fitting_change(settings, ranks, settings.device_memory);
    const char* none = "no recompute policy, number of ranks or microbatch tried makes it fit: use a smaller model or sequence";
    throw Error(ErrorKind::plan, fmt::format("{}; {}", error.what(), change.empty() ? none : change), error.where());
  }
}

std::vector<RankPlan> plan_ranks(const TrainerSettings& settings, int ranks, int ranks_per_node) {
  std::vector<RankClass> classes;
  std::vector<RankPrograms> built = build_and_check(settings, ranks, classes);
  std::vector<RankPlan> plans;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const MemoryPlan plan = plan_within_limit(settings, ranks, built[i].run);
    check_run({built[i].run});
    const Schedule* peak = built[i].run.find(plan.device.peak_schedule);
    const Schedule& step = *built[i].run.find("step");
    plans.push_back({.ranks = classes[i], .arena = plan.device,
                     .peak_op = peak ? describe(*peak, plan.device.peak_op) : "",
                     .remainder = remainder_of(built[i], std::min(ranks, ranks_per_node), settings.threads),
                     .states = planned_states(step), .wire = planned_traffic(step, built[i].spec.nodes),
                     .load_bytes = load_bytes(built[i].run)});
  }
  return plans;
}

Bytes host_bytes_per_node(const std::vector<RankPlan>& plans, int ranks_per_node) {
  std::vector<Bytes> ranks;
  for (const RankPlan& plan : plans)
    ranks.insert(ranks.end(), static_cast<std::size_t>(plan.ranks.count), plan.bytes());
  std::sort(ranks.rbegin(), ranks.rend());
  ranks.resize(std::min(ranks.size(), static_cast<std::size_t>(ranks_per_node)));
  Bytes sum = 0;
  for (Bytes bytes : ranks) sum += bytes;
  return sum;
}

std::string print_plan(const std::vector<RankPlan>& plans, int ranks_per_node) {
  std::string text;
  for (const RankPlan& plan : plans) {
    const ArenaPlan& arena = plan.arena;
    text += fmt::format("{}: arena {} ({} bytes)\n", rank_names(plan.ranks), format_bytes(arena.peak_bytes),
                        arena.peak_bytes);
    text += fmt::format("  peak in schedule {}, {}\n", arena.peak_schedule, plan.peak_op);
    for (Role role : printed_roles)
      text += fmt::format("  {:<14} {:>12}  {:>16}\n", name(role), format_bytes(role_bytes(arena, role)),
                          role_bytes(arena, role));
    text += fmt::format("  {:<14} {:>12}  {:>16}\n", "fragmentation", format_bytes(arena.fragmentation_bytes),
                        arena.fragmentation_bytes);
    text += fmt::format("  {:<14} {:>12}  {:>16}  alive in every schedule\n", "states", format_bytes(arena.states_bytes),
                        arena.states_bytes);
    if (plan.load_bytes > 0)
      text += fmt::format("  {:<14} {:>12}  {:>16}  of the arena while the model folder is read\n", "load",
                          format_bytes(plan.load_bytes), plan.load_bytes);
    const Bytes remainder = plan.remainder.total();
    text += fmt::format("  {:<14} {:>12}  {:>16}  beside the arena:\n", "remainder", format_bytes(remainder), remainder);
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
    const nlohmann::ordered_json wire = {{"gathers_bytes", plan.wire.gathers.total()}, {"reduces_bytes", plan.wire.reduces.total()}};
    json["ranks"].push_back({{"class", rank_names(plan.ranks)},
                             {"count", plan.ranks.count},
                             {"peak_bytes", plan.arena.peak_bytes},
                             {"peak_schedule", plan.arena.peak_schedule},
                             {"peak_op", plan.arena.peak_op},
                             {"roles", roles},
                             {"states_bytes", plan.arena.states_bytes},
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
