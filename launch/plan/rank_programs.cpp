#include "launch/plan/rank_programs.h"

#include <utility>

#include "launch/plan/process_memory.h"
#include "models/describe.h"
#include "models/hf/load_ops.h"
#include "shard/check_run.h"
#include "shard/frozen_units.h"

namespace trireme {
namespace {

MicrobatchShape shape_of(const TrainerSettings& settings, int sequences) {
  return {.sequences = sequences,
          .sequence = settings.sequence,
          .compute = settings.compute,
          .products = settings.products,
          .threads = settings.threads};
}

ModelSpec model_of(const TrainerSettings& settings, int sequences) {
  ModelSpec model = describe(settings.model, shape_of(settings, sequences));
  apply_groups(settings.groups, model);
  return split_frozen(std::move(model));
}

/// What the programs of all ranks have in common.
RankPrograms common_part(const TrainerSettings& settings, int ranks) {
  RankPrograms programs;
  programs.model = model_of(settings, settings.micro_batch);
  programs.spec = {.mesh = {.data = ranks},
                   .microbatches = settings.global_batch / settings.micro_batch,
                   .sum_group = settings.sum_group,
                   .zero = settings.zero,
                   .node_ranks = settings.node_ranks,
                   .prefetch = settings.prefetch,
                   .recompute = settings.recompute,
                   .audit = settings.audit,
                   .nodes = settings.nodes,
                   .compute = settings.compute,
                   .wire = settings.wire};
  return programs;
}

RunPrograms build_run_of(const RankPrograms& common, const TrainerSettings& settings, int rank,
                         std::string_view after = {}) {
  StepSpec spec = common.spec;
  spec.rank = rank;
  const ModelSpec sample_model = model_of(settings, 1);
  return build_run(common.model, spec,
                   {.validate = settings.validate,
                    .sample = settings.sample,
                    .diagnose = true,
                    .load_staging_bytes = settings.load ? hf::load_staging_bytes : 0,
                    .after = after},
                   &sample_model);
}

}  // namespace

RankPrograms build_programs(const TrainerSettings& settings, int rank, int ranks, std::string_view after) {
  RankPrograms programs = common_part(settings, ranks);
  programs.spec.rank = rank;
  programs.run = build_run_of(programs, settings, rank, after);
  return programs;
}

std::vector<RankClass> prove_programs(const TrainerSettings& settings, int ranks, RankPrograms* first) {
  RankPrograms common = common_part(settings, ranks);
  std::vector<RankClass> classes = rank_classes(common.model, common.spec);
  std::vector<RunPrograms> runs;
  runs.reserve(classes.size());
  for (const RankClass& rank_class : classes) runs.push_back(build_run_of(common, settings, rank_class.rank));
  give_back_free_heap();
  check_together(runs);
  if (first) {
    *first = std::move(common);
    first->run = std::move(runs.front());
  }
  return classes;
}

PlannedPrograms plan_programs(const TrainerSettings& settings, int rank, int ranks) {
  return plan_programs(build_programs(settings, rank, ranks), settings.device_memory);
}

PlannedPrograms plan_programs(RankPrograms programs, Bytes device_memory) {
  PlannedPrograms planned{.programs = std::move(programs), .plan = {}};
  give_back_free_heap();
  planned.plan = plan_run(planned.programs.run, device_memory);
  give_back_free_heap();
  check_alone(planned.programs.run);
  return planned;
}

}  // namespace trireme
