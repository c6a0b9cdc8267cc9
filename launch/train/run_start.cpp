#include "launch/train/run_start.h"

#include <optional>
#include <string>
#include <vector>

#include "comm/agreement.h"
#include "launch/config/notices.h"
#include "launch/config/settings.h"
#include "models/describe.h"
#include "runtime/base/log.h"
#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/register_peak.h"

namespace trireme {
namespace {

/// The ranks of one node, in a row.
struct NodeRanks {
  int count = 0, first = 0;

  bool operator==(const NodeRanks&) const = default;
  std::string text() const { return fmt::format("{} ranks, the first is {}", count, first); }
};

// Node-local gathering: as many ranks on each node, in a row.
void check_equal_nodes(const Run& run) {
  const int size = run.mpi.node_size();
  const std::vector<NodeRanks> all =
      all_gather(run.communicator, NodeRanks{.count = size, .first = run.mpi.node_first_rank()});
  std::optional<Error> error;
  for (int rank = 0; rank < run.mpi.size() && !error; ++rank) {
    const NodeRanks expected{.count = size, .first = rank / size * size};
    const NodeRanks& found = all[static_cast<std::size_t>(rank)];
    if (found != expected)
      error = Error(ErrorKind::config,
                    fmt::format("parallel.node_shard needs as many ranks on each node, in a row (mpirun --map-by "
                                "slot): the node of rank {} has {}, not {}",
                                rank, found.text(), expected.text()));
  }
  agree_on_success(run.communicator, error ? &*error : nullptr);
}

TrainerSettings settings_of(const Run& run) {
  TrainerSettings settings = trainer_settings(run.inputs.config, run.mpi.node_size());
  settings.folder = run.inputs.folder;
  for (int rank = 0; rank < run.mpi.size(); ++rank)
    settings.spec.nodes.node_of.push_back(run.communicator.node_of(rank));
  return settings;
}

// Before the long part of the start: a folder that cannot be made is a mistake of the configuration, not of a step.
std::unique_ptr<LogFolder> hold_log_folder(const Run& run) {
  const LogConfig& log = run.inputs.config.log;
  if (!run.speaks() || log.dir.empty()) return nullptr;
  return std::make_unique<LogFolder>(log.dir, log.existing == "replace");
}

void say_inputs(const RunInputs& inputs) {
  const Config& config = inputs.config;
  say(print_config(config));
  for (const std::string& notice : notices(config)) say(notice);
  if (const std::string n = byte_tokens_notice(config, inputs.train.largest_token()); !n.empty()) say(n);
  if (inputs.folder) say("model folder:\n" + inputs.folder->summary());
  if (inputs.folder && !inputs.folder->dropout.empty())
    say(fmt::format("dropout of its config.json, which acts in training alone, is left out: {}",
                    inputs.folder->dropout));
  say(fmt::format("data:\n{}{}", inputs.train.summary(), inputs.valid ? inputs.valid->summary() : ""));
}

void say_start(const Run& run, const RunStart& start) {
  const Config& config = run.inputs.config;
  say_inputs(run.inputs);
  say(fmt::format("model: {} parameters; {} ranks x {} threads; instruction set {}; peak {:.1f} GF/s a thread",
                  parameter_count(config.model), run.mpi.size(), start.settings.threads, cpu::name(cpu::active_isa()),
                  start.peak_flops / 1e9));
  say(fmt::format("arena: {} bytes", start.plan.arena_bytes));
  say(fmt::format("numerics={}", numerics_fingerprint(config)));
}

}  // namespace

RunStart start_run(const Run& run) {
  const RunInputs& inputs = run.inputs;
  RunStart start{.settings = settings_of(run)};
  if (inputs.config.parallel.node_shard && inputs.config.parallel.ranks_per_node == 0) check_equal_nodes(run);
  // A log folder that an export could not replace at the end is there before the export looks at its place.
  start.log_folder = on_all_ranks(run.communicator, [&] { return hold_log_folder(run); });
  if (!run.options.model_out.folder.empty())
    start.model_export =
        std::make_unique<ModelExport>(run.options.model_out, inputs.config.model, inputs.folder, run.communicator);
  start.peak_flops = cpu::register_peak_flops(start.settings.spec.compute, start.settings.products);
  start.plan = plan_together(run.mpi, run.communicator, start.settings);
  if (start.model_export) start.model_export->take_room(run.communicator);
  if (run.speaks()) say_start(run, start);
  return start;
}

}  // namespace trireme
