#include "launch/plan/rank_plan.h"

#include <algorithm>
#include <new>
#include <utility>

#include "launch/plan/process_memory.h"
#include "runtime/base/heap_meter.h"

namespace trireme {
namespace {

// Bytes of the arena that schedule load touches: the pages of all else are taken after it.
Bytes load_bytes(const RunPrograms& run) {
  std::vector<std::pair<Bytes, Bytes>> places;
  if (const Schedule* load = run.find(ScheduleKind::load))
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

RankPlan plan_of(const PlannedPrograms& planned, const RankClass& rank_class, int ranks_on_node, int threads) {
  const RunPrograms& run = planned.programs.run;
  const Schedule* peak = run.find(planned.plan.device.peak_schedule);
  const Schedule& step = *run.find(ScheduleKind::step);
  return {.ranks = rank_class,
          .arena = planned.plan.device,
          .peak_op = peak ? describe(*peak, planned.plan.device.peak_op) : "",
          .remainder = remainder_of(planned.programs, ranks_on_node, threads),
          .states = planned_states(step),
          .wire = planned_traffic(step, planned.programs.spec.nodes),
          .load_bytes = load_bytes(run)};
}

/// What trying a change costs: pairs of layer and microbatch that are built. As many as are built in some seconds.
constexpr double affordable_work = 40'000;

/// Tries changes one after the other while there is time for it.
class ChangeSearch {
 public:
  ChangeSearch(const TrainerSettings& settings, int ranks, int ranks_per_node, const MemoryLimits& limits)
      : changed_(settings), ranks_(ranks), ranks_per_node_(ranks_per_node), limits_(limits) {
    // What many buildings leave between their blocks: nothing may end a run that is about to say why it ends.
    limits_.heap_bytes -= limits_.heap_bytes / 8;
  }

  std::string find() {
    for (const Recompute policy : {Recompute::attention, Recompute::mlp, Recompute::block}) {
      changed_.spec.recompute = policy;
      if (fits(ranks_)) return fmt::format("memory.recompute = \"{}\" would fit, with the same bits", name(policy));
    }
    for (int more = 2 * ranks_; more <= 64 * ranks_ && more <= 4096; more *= 2)
      if (fits(more))
        return fmt::format(
            "memory.recompute = \"block\" on {} ranks would fit, with the same bits; put them on {} times as many "
            "nodes where this one is full",
            more, more / ranks_);
    const int given = changed_.micro_batch;
    for (changed_.micro_batch = given / 2; changed_.micro_batch >= 1; changed_.micro_batch /= 2)
      if (changed_.global_batch % changed_.micro_batch == 0 && fits(ranks_))
        return fmt::format(
            "memory.recompute = \"block\" with train.micro_batch = {} would fit; the latter changes the trajectory",
            changed_.micro_batch);
    if (!out_of_time_)
      return "no recompute policy, number of ranks or microbatch tried makes it fit: use a smaller model or sequence";
    return "use more nodes, fewer microbatches in a step (a larger train.micro_batch or smaller train.global_batch), "
           "or a smaller model";
  }

 private:
  bool fits(int on_ranks) {
    const double microbatches = static_cast<double>(changed_.global_batch) / changed_.micro_batch;
    const double work = std::max(1.0, microbatches / on_ranks) * changed_.model.layers;
    if (work_ + work > affordable_work) {
      out_of_time_ = true;
      return false;
    }
    work_ += work;
    try {
      plan_ranks(changed_, on_ranks, ranks_per_node_, limits_);
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::plan) throw;
    } catch (const std::bad_alloc&) {
    }
    return false;
  }

  TrainerSettings changed_;
  int ranks_, ranks_per_node_;
  MemoryLimits limits_;
  double work_ = 0;
  bool out_of_time_ = false;  // for some change
};

}  // namespace

std::string describe(const RankClass& ranks) {
  if (ranks.count == 1) return fmt::format("rank {}", ranks.rank);
  return fmt::format("{} ranks like rank {}", ranks.count, ranks.rank);
}

Bytes build_within(Bytes limit_bytes, const std::function<void()>& build) {
  // Holes that the building before left would stand beside this one.
  give_back_free_heap();
  try {
    const HeapMeter meter(limit_bytes);
    build();
    return meter.peak_bytes();
  } catch (const HeapLimitReached&) {
  }
  give_back_free_heap();
  throw Error(ErrorKind::plan,
              fmt::format("to build and check the programs of a step takes more than the {} that there are for it",
                          format_bytes(limit_bytes)));
}

std::vector<RankPlan> plan_ranks(const TrainerSettings& settings, int ranks, int ranks_per_node,
                                 const MemoryLimits& limits) {
  TrainerSettings limited = settings;
  limited.device_memory = std::min(settings.device_memory, limits.arena_bytes);
  const HeapMeter meter;
  std::vector<RankClass> classes;
  RankPrograms first;
  const Bytes proving = build_within(limits.heap_bytes, [&] { classes = prove_programs(limited, ranks, &first); });
  std::vector<RankPlan> plans;
  for (const RankClass& rank_class : classes) {
    // A rank of a run holds its own programs in the place of those that are kept here.
    const bool is_kept = plans.empty() && !first.run.schedules.empty();
    const Bytes kept = is_kept ? meter.held_bytes() : 0;
    RankPlan plan;
    const Bytes planning = kept + build_within(limits.heap_bytes - kept, [&] {
                             const PlannedPrograms planned =
                                 is_kept ? plan_programs(std::move(first), limited.device_memory)
                                         : plan_programs(limited, rank_class.rank, ranks);
                             plan = plan_of(planned, rank_class, std::min(ranks, ranks_per_node), limited.threads);
                           });
    plan.building_bytes = std::max(proving, planning);
    plan.remainder = plan.remainder.after_building(plan.building_bytes, plan.arena.peak_bytes);
    require(plan.bytes() <= limits.process_bytes, ErrorKind::plan,
            "{}: {} ({} bytes) a rank, the limit is {} ({} bytes)", describe(rank_class), format_bytes(plan.bytes()),
            plan.bytes(), format_bytes(limits.process_bytes), limits.process_bytes);
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::string fitting_change(const TrainerSettings& settings, int ranks, int ranks_per_node, const MemoryLimits& limits) {
  return ChangeSearch(settings, ranks, ranks_per_node, limits).find();
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

}  // namespace trireme
