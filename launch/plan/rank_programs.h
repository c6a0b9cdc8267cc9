#pragma once
// What a run is set to, and the programs that follow from it for each rank: built, proved and planned, without memory
// for tensors and without a device.

#include <memory>
#include <vector>

#include "models/hf/model_folder.h"
#include "models/model_config.h"
#include "models/parameter_groups.h"
#include "optim/optim_ops.h"
#include "runtime/kernels/product_order.h"
#include "shard/build_step.h"
#include "shard/rank_classes.h"

namespace trireme {

/// What a run computes (trajectory) and how it is laid out.
struct TrainerSettings {
  ModelConfig model;
  int sequence = 0, micro_batch = 0, global_batch = 0;  // tokens; sequences; sequences
  ProductOrder products = ProductOrder::chain;
  OptimizerSettings optimizer;
  std::vector<ParameterGroup> groups;
  std::uint64_t seed = 1;

  StepSpec spec;  // but for mesh, rank and microbatches, which follow from the ranks and from the batches: spec_of()

  int threads = 1;
  bool validate = false, sample = false;
  bool load = false;                              // the first weights come from a model folder
  std::shared_ptr<const hf::ModelFolder> folder;  // that one; plans need none
  Bytes device_memory = INT64_MAX;
};

/// The whole spec of one rank.
StepSpec spec_of(const TrainerSettings& settings, int rank, int ranks);

/// The programs of one rank and the model they are of.
struct RankPrograms {
  ModelSpec model;
  StepSpec spec;
  RunPrograms run;
};
/// `after`: the last pass that runs (shard/passes/pass_list.h); all of them, unless given.
RankPrograms build_programs(const TrainerSettings& settings, int rank, int ranks, std::string_view after = {});

/// Builds one rank of every class and proves them together; keeps those of rank 0 in `first`, if it is given and there
/// are several classes (kept programs leave holes in the heap), and none of the others. Alone each proves itself when
/// planned. Errors: Error(bug) from check_together().
std::vector<RankClass> prove_programs(const TrainerSettings& settings, int ranks, RankPrograms* first = nullptr);

/// The programs of one rank with all bytes placed: a search for good places may take seconds, so it is made once.
struct PlannedPrograms {
  RankPrograms programs;
  MemoryPlan plan;
};
/// Builds, plans within settings.device_memory, and proves alone, by bytes, too.
/// Errors: Error(plan) from plan_run(), Error(bug) from check_alone().
PlannedPrograms plan_programs(const TrainerSettings& settings, int rank, int ranks);
/// The same of programs that are built.
PlannedPrograms plan_programs(RankPrograms programs, Bytes device_memory);

}  // namespace trireme
