#include "shard/build_step.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/schedule/check.h"
#include "shard/flat_layout.h"
#include "shard/order/compute_order.h"
#include "shard/passes/pass_list.h"
#include "shard/passes/prefetch.h"

namespace trireme {
namespace {

/// Builds one schedule of the run after the other, through the passes asked for.
class RunBuilder {
 public:
  RunBuilder(const ModelSpec& model, const StepSpec& spec, std::size_t passes)
      : input_{model, spec, spec.prefetch}, passes_(passes) {}

  void add(Schedule ordered) { add(std::move(ordered), input_); }
  void add(Schedule ordered, const PassInput& input) { keep(run_passes(std::move(ordered), input, 0, passes_)); }

  /// The step, and enter where it carries something.
  void add_step(Schedule ordered) {
    // An audit has more uses, but what the two carry into each other must be the same.
    if (input_.spec.audit) input_.carried_uses = possible_distance(ordered, input_.spec.prefetch);
    const std::size_t common = std::min(passes_, passes_before_enter());
    Schedule step = run_passes(std::move(ordered), input_, 0, common);
    if (Schedule enter = enter_of(step); !enter.ops.empty())
      keep(run_passes(std::move(enter), input_, common, passes_));
    keep(run_passes(std::move(step), input_, common, passes_));
  }

  RunPrograms take() { return std::move(run_); }

 private:
  void keep(Schedule schedule) {
    schedule.buffers.shrink_to_fit();
    schedule.ops.shrink_to_fit();
    run_.schedules.push_back(std::move(schedule));
  }

  PassInput input_;
  std::size_t passes_;
  RunPrograms run_;
};

void fail_on(const std::optional<Problem>& problem, int rank) {
  if (problem)
    throw Error(ErrorKind::bug, fmt::format("rank {}, schedule {}, op {}: {}", rank, name(problem->schedule), problem->op,
                                            problem->message));
}

// How many microbatches a rank has in a step.
int own_turns(const StepSpec& spec) {
  int turns = 0;
  while (turns < spec.turns() && spec.takes_part(turns)) ++turns;
  return turns;
}

/// Of each kind of reduce, from how many ranks of other nodes a rank receives and whether it adds to it: those of a full
/// round and of the last one, and where groups of microbatches span ranks those of all rounds. Looks at each list once.
class ReduceKinds {
 public:
  explicit ReduceKinds(const StepSpec& spec) : spec_(spec) {
    const bool alike = spec.sum_group == 1 || spec.takes_whole_groups();
    for (int round = 0; round < spec.rounds(); ++round) {
      if (alike && round != 0 && round + 1 != spec.rounds()) continue;
      for (const std::vector<Contribution>& from : spec.contributions(round)) {
        List& list = lists_.emplace_back(
            List{.first = from.front().rank, .last = from.back().rank, .ranks = static_cast<int>(from.size()), .on_node = {}});
        for (const Contribution& c : from) ++list.on_node[spec.nodes.node(c.rank)];
      }
    }
  }

  std::vector<int> of(int rank) const {
    std::vector<int> kinds;
    for (const List& list : lists_) {
      const auto here = list.on_node.find(spec_.nodes.node(rank));
      const int remote = list.ranks - (here == list.on_node.end() ? 0 : here->second);
      kinds.insert(kinds.end(), {remote, list.first <= rank && rank <= list.last});
    }
    return kinds;
  }

 private:
  struct List {
    int first = 0, last = 0, ranks = 0;
    std::unordered_map<int, int> on_node;  // contributors, by node
  };

  const StepSpec& spec_;
  std::vector<List> lists_;
};

// How many ranks have a microbatch in each turn of the last round.
std::vector<int> present_in_last_round(const StepSpec& spec) {
  std::vector<int> present;
  for (int turn = spec.turns() - spec.turns_a_round(); turn < spec.turns(); ++turn)
    present.push_back(static_cast<int>(spec.ranks_in(turn).size()));
  return present;
}

// With node-local gathering: the place in the node, whether the node's slice there has this rank's own in it, and how many
// ranks of the node have a microbatch in the turns of the last round.
std::vector<int> node_of(const StepSpec& spec, std::span<const int> present_in_turns) {
  if (spec.node_ranks == 0) return {};
  const int place = spec.rank % spec.node_ranks;
  std::vector<int> node = {place, spec.rank / (spec.ranks() / spec.node_ranks) == place};
  for (const int present : present_in_turns) node.push_back(std::clamp(present - (spec.rank - place), 0, spec.node_ranks));
  return node;
}

std::vector<const Schedule*> pointers(const RunPrograms& run) {
  std::vector<const Schedule*> list;
  for (const Schedule& schedule : run.schedules) list.push_back(&schedule);
  return list;
}

}  // namespace

const Schedule* RunPrograms::find(ScheduleKind kind) const {
  for (const Schedule& schedule : schedules)
    if (schedule.kind == kind) return &schedule;
  return nullptr;
}

RunPrograms build_run(const ModelSpec& model, const StepSpec& spec, const Programs& programs,
                      const ModelSpec* sample_model) {
  RunBuilder run(model, spec, programs.after.empty() ? passes().size() : passes_up_to(programs.after));
  run.add(programs.load_staging_bytes > 0 ? order_load(model, spec, programs.load_staging_bytes) : order_init(model, spec));
  run.add_step(order_step(model, spec));
  if (spec.audit) run.add(order_step_with_audit(model, spec));
  if (programs.diagnose) run.add(order_diagnose(model, spec));
  StepSpec one_round = spec;
  one_round.microbatches = spec.ranks();
  if (programs.validate) run.add(order_validate(model, one_round), {model, one_round});
  if (programs.sample) {
    ensure(sample_model != nullptr, "a sample needs the model at one sequence");
    run.add(order_sample(*sample_model, one_round), {*sample_model, one_round});
  }
  return run.take();
}

std::vector<RankClass> rank_classes(const ModelSpec& model, const StepSpec& spec) {
  // Programs differ by microbatches in the last round, by what a rank owns of a tied tensor, and by what it receives from
  // other nodes in a full round and in the last one.
  std::optional<FlatRange> tied;
  if (const auto t = model.units[model.head()].tied)
    tied = FlatLayout(model.units[model.owner(*t)], spec.ranks()).tensor(t->tensor);
  std::map<std::tuple<int, Elems, std::vector<int>, std::vector<int>, int>, RankClass> classes;
  const ReduceKinds reduces(spec);
  const std::vector<int> present = present_in_last_round(spec);
  StepSpec own = spec;
  for (int rank = 0; rank < spec.ranks(); ++rank) {
    own.rank = rank;
    const std::tuple key(own_turns(own), tied ? tied->owned_by(rank).elems : 0, reduces.of(rank), node_of(own, present),
                         spec.audit ? rank % 2 : 0);
    RankClass& found = classes.try_emplace(key, RankClass{rank, 0}).first->second;
    ++found.count;
  }
  std::vector<RankClass> list;
  for (const auto& [key, rank_class] : classes) list.push_back(rank_class);
  std::sort(list.begin(), list.end(), [](const RankClass& a, const RankClass& b) { return a.rank < b.rank; });
  return list;
}

void check_run(const RunPrograms& run) { check_run({&run, 1}); }

void check_run(std::span<const RunPrograms> classes) {
  for (const RunPrograms& run : classes) {
    const Schedule* init = run.find(ScheduleKind::init) ? run.find(ScheduleKind::init) : run.find(ScheduleKind::load);
    const Schedule* step = run.find(ScheduleKind::step);
    const Schedule* enter = run.find(ScheduleKind::enter);
    const auto check_after = [&](std::vector<const Schedule*> sequence) {
      std::erase(sequence, nullptr);
      fail_on(check_sequence(sequence), step->rank);
    };
    for (const Schedule& schedule : run.schedules) fail_on(check(schedule), schedule.rank);
    check_after({init, enter, step, step});
    if (const Schedule* audit = run.find(ScheduleKind::step_with_audit)) {
      check_after({init, enter, audit, audit});
      check_after({step, audit, step});
    }
    check_after({step, run.find(ScheduleKind::validate), run.find(ScheduleKind::sample)});
    check_after({step, run.find(ScheduleKind::diagnose), run.find(ScheduleKind::validate)});
    for (const ScheduleKind kind : {ScheduleKind::diagnose, ScheduleKind::validate, ScheduleKind::sample})
      if (const Schedule* other = run.find(kind)) {
        check_after({step, other, enter, step});
        check_after({init, other, enter});
        check_after({step, other, other});
      }
  }
  for (int kind = 0; kind < schedule_kind_count; ++kind) {
    std::vector<const Schedule*> ranks;
    for (const RunPrograms& run : classes)
      if (const Schedule* schedule = run.find(static_cast<ScheduleKind>(kind))) ranks.push_back(schedule);
    if (!ranks.empty()) fail_on(check_ranks(ranks), ranks.front()->rank);
  }
}

MemoryPlan plan_run(RunPrograms& run, Bytes limit_bytes) {
  MemoryPlan plan = plan_memory(pointers(run), limit_bytes);
  for (std::size_t i = 0; i < run.schedules.size(); ++i) apply(plan, i, run.schedules[i]);
  return plan;
}

}  // namespace trireme
