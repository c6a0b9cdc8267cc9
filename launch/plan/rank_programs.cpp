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
          .compute = settings.spec.compute,
          .products = settings.products,
          .threads = settings.threads};
}

ModelSpec model_of(const TrainerSettings& settings, int sequences) {
  ModelSpec model = describe(settings.model, shape_of(settings, sequences));
  apply_groups(settings.groups, model);
  return split_frozen(std::move(model));
}

RunPrograms build_run_of(const TrainerSettings& settings, const ModelSpec& model, const StepSpec& spec,
                         std::string_view after = {}) {
  const ModelSpec sample_model = model_of(settings, 1);
  return build_run(model, spec,
                   {.validate = settings.validate,
                    .sample = settings.sample,
                    .diagnose = true,
                    .load_staging_bytes = settings.load ? hf::load_staging_bytes : 0,
                    .after = after},
                   &sample_model);
}

}  // namespace

StepSpec spec_of(const TrainerSettings& settings, int rank, int ranks) {
  StepSpec spec = settings.spec;
  spec.mesh.data = ranks;
  spec.rank = rank;
  spec.microbatches = settings.global_batch / settings.micro_batch;
  return spec;
}

RankPrograms build_programs(const TrainerSettings& settings, int rank, int ranks, std::string_view after) {
  RankPrograms programs{
      .model = model_of(settings, settings.micro_batch), .spec = spec_of(settings, rank, ranks), .run = {}};
  programs.run = build_run_of(settings, programs.model, programs.spec, after);
  return programs;
}

std::vector<RankClass> prove_programs(const TrainerSettings& settings, int ranks, RankPrograms* first) {
  RankPrograms common{
      .model = model_of(settings, settings.micro_batch), .spec = spec_of(settings, 0, ranks), .run = {}};
  std::vector<RankClass> classes = rank_classes(common.model, common.spec);
  std::vector<RunPrograms> runs;
  runs.reserve(classes.size());
  StepSpec spec = common.spec;
  for (const RankClass& rank_class : classes) {
    spec.rank = rank_class.rank;
    runs.push_back(build_run_of(settings, common.model, spec));
  }
  give_back_free_heap();
  check_together(runs);
  if (first && classes.size() > 1) {
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
