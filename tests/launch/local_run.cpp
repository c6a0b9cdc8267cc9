#include "tests/launch/local_run.h"

#include <exception>
#include <mutex>
#include <thread>

#include "comm/local/local_group.h"
#include "runtime/base/random.h"
#include "shard/state_hash.h"

namespace trireme::test {
namespace {

void fill(const TrainerSettings& settings, std::int64_t step, int microbatch, Batch batch) {
  const Random random(settings.seed, "test tokens");
  const Elems n = batch.token_count();
  const auto start = static_cast<std::uint64_t>(step * 1000 + microbatch) * static_cast<std::uint64_t>(n + 1);
  const auto token = [&](Elems i) {
    const auto index = start + static_cast<std::uint64_t>(i);
    const auto vocabulary = static_cast<std::uint64_t>(settings.model.vocab);
    return static_cast<std::int32_t>(i % 3 == 2 ? (index * 7) % vocabulary : random.below(index, vocabulary));
  };
  for (Elems i = 0; i < n; ++i) {
    batch.tokens.as<std::int32_t>()[i] = token(i);
    batch.targets.as<std::int32_t>()[i] = token(i + 1);
    batch.weights.as<float>()[i] = 1;
  }
}

std::unique_ptr<Device> make_device(const TrainerSettings& settings, const LocalLayout& layout, int rank) {
  if (layout.checked_seed < 0) return make_cpu_device(stream_count, settings.threads);
  return make_checked_device(stream_count, settings.threads,
                             {.seed = static_cast<std::uint64_t>(layout.checked_seed * 100 + rank)});
}

}  // namespace

LocalResult train_locally(const TrainerSettings& settings, const LocalLayout& layout, int steps) {
  LocalGroup group(layout.ranks, {.deadline_s = 120});
  std::vector<std::vector<std::vector<std::uint64_t>>> weights(static_cast<std::size_t>(layout.ranks)), state(weights);
  LocalResult result;
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run_rank = [&](int rank) {
    const auto communicator = group.rank(rank);
    try {
      TrainerSettings own = settings;
      if (layout.edit_settings) layout.edit_settings(own, rank);
      const auto edit = [&](OpTable& table) {
        if (layout.edit_table) layout.edit_table(table, rank);
      };
      const auto source = [&](std::int64_t step, int microbatch, Batch batch) { fill(own, step, microbatch, batch); };
      Trainer trainer(own, *communicator, source, source, make_device(own, layout, rank), {}, edit);
      for (int step = 0; step < steps; ++step) {
        const StepReport report = trainer.step(step, 1e-2);
        if (rank == 0) result.steps.push_back(report);
      }
      weights[static_cast<std::size_t>(rank)] = trainer.hash_weights();
      state[static_cast<std::size_t>(rank)] = trainer.hash_states();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      communicator->abort();
    }
  };
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < layout.ranks; ++rank) ranks.emplace_back(run_rank, rank);
  for (std::thread& rank : ranks) rank.join();
  if (failure) std::rethrow_exception(failure);
  result.weights = combine_hashes(weights);
  result.state = combine_hashes(state);
  return result;
}

TrainerSettings tiny_settings(Family family, DType compute, DType wire) {
  TrainerSettings settings;
  settings.model = {.family = family, .layers = 2, .width = 48, .heads = 4,
                    .kv_heads = family == Family::gpt2 ? 4 : 2, .ffn = 80, .vocab = 131, .context = 24, .tied = true,
                    .norm_eps = 1e-5f, .rope_theta = 10000.0f};
  settings.sequence = 17;
  settings.micro_batch = 2;
  settings.global_batch = 2 * 13;
  settings.compute = compute;
  settings.wire = wire;
  settings.seed = 42;
  return settings;
}

}  // namespace trireme::test
