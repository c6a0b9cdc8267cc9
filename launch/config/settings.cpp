#include "launch/config/settings.h"

#include <sched.h>
#include <xxhash.h>

#include <algorithm>
#include <thread>

namespace trireme {
namespace {

/// Raised whenever a kernel's order of sums or rounding changes.
constexpr int kernel_version = 1;

}  // namespace

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  // The set counts to 1,024 and the machine has more.
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

TrainerSettings trainer_settings(const Config& config, int ranks_on_node) {
  const TrainConfig& train = config.train;
  TrainerSettings settings;
  settings.model = config.model;
  settings.sequence = train.sequence;
  settings.micro_batch = train.micro_batch;
  settings.global_batch = train.global_batch;
  settings.spec.compute = parse_dtype(config.precision.compute);
  settings.spec.wire = parse_dtype(config.precision.wire);
  settings.products = config.precision.products == "tiles" ? ProductOrder::tiles : ProductOrder::chain;
  settings.optimizer = {.beta1 = train.beta1,
                        .beta2 = train.beta2,
                        .eps = train.eps,
                        .weight_decay = train.weight_decay,
                        .clip = train.clip};
  settings.groups = train.groups;
  settings.spec.sum_group = train.sum_group;
  settings.spec.audit = train.audit > 0;
  settings.seed = static_cast<std::uint64_t>(train.seed);
  settings.threads = config.device.threads > 0 ? config.device.threads : std::max(1, usable_cpus() / ranks_on_node);
  settings.spec.prefetch = config.parallel.prefetch;
  settings.spec.recompute = parse_recompute(config.memory.recompute);
  const int node = config.parallel.ranks_per_node > 0 ? config.parallel.ranks_per_node : ranks_on_node;
  settings.spec.nodes.ranks_per_node = config.memory.share ? node : 1;
  settings.spec.zero = config.parallel.zero;
  settings.spec.node_ranks = config.parallel.node_shard ? node : 0;
  settings.load = !config.model_folder.empty();
  settings.validate = !config.data.valid.empty();
  settings.sample = true;  // always, so that the plan is the same with and without --sample
  if (config.memory.device != "auto") settings.device_memory = parse_bytes(config.memory.device);
  return settings;
}

LrSchedule lr_schedule(const Config& config) {
  const TrainConfig& train = config.train;
  return {.shape = parse_lr_shape(train.schedule),
          .lr = train.lr,
          .min_lr = train.min_lr,
          .warmup = train.warmup,
          .steps = train.steps,
          .decay_steps = train.decay_steps};
}

std::string numerics_fingerprint(const Config& config) {
  std::string text =
      fmt::format("cpu kernels {} compute {} wire {}", kernel_version, config.precision.compute, config.precision.wire);
  if (config.precision.products == "tiles") text += " products tiles";
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace trireme
