#include "tests/support/local_run.h"

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
  // Few different tokens: their frequencies are learned within a step or two.
  const auto token = [&](Elems i) {
    const std::uint64_t roll = random.below(start + static_cast<std::uint64_t>(i), 64);
    return static_cast<std::int32_t>(roll < 48 ? roll % 5 : roll % static_cast<std::uint64_t>(settings.model.vocab));
  };
  for (Elems i = 0; i < n; ++i) {
    batch.tokens.as<std::int32_t>()[i] = token(i);
    batch.targets.as<std::int32_t>()[i] = token(i + 1);
    batch.weights.as<float>()[i] = 1;
  }
}

// Microbatches behind the last one weigh nothing.
void fill_valid(const TrainerSettings& settings, int microbatch, Batch batch) {
  fill(settings, 1'000'000, microbatch, batch);
  if (microbatch < validation_microbatches) return;
  for (Elems i = 0; i < batch.token_count(); ++i) batch.weights.as<float>()[i] = 0;
}

double validate(Trainer& trainer, int ranks) {
  ExactSum loss;
  std::int64_t valid_tokens = 0;
  for (int first = 0; first < validation_microbatches; first += ranks)
    trainer.validate_round(first, loss, valid_tokens);
  return loss.value() / static_cast<double>(valid_tokens);
}

std::unique_ptr<Device> make_device(const TrainerSettings& settings, const LocalLayout& layout, int rank) {
  if (layout.checked_seed < 0) return make_cpu_device(run_stream_count, settings.threads);
  return make_checked_device(run_stream_count, settings.threads,
                             {.seed = static_cast<std::uint64_t>(layout.checked_seed * 100 + rank)});
}

}  // namespace

LocalResult train_locally(const TrainerSettings& settings, const LocalLayout& layout, int steps) {
  const bool checked = layout.checked_seed >= 0;
  LocalGroup group(layout.ranks, {.deadline_s = 600,
                                  .seed = static_cast<std::uint64_t>(checked ? layout.checked_seed : 0),
                                  .max_delay_us = checked ? 100 : 0});
  std::vector<std::vector<std::vector<std::uint64_t>>> weights(static_cast<std::size_t>(layout.ranks)), state(weights);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < layout.ranks; ++rank) communicators.push_back(group.rank(rank));
  // Peers read a rank's memory: no trainer may go before all threads have ended, not even where one fails.
  std::vector<std::unique_ptr<Trainer>> trainers(static_cast<std::size_t>(layout.ranks));
  LocalResult result;
  const int audited = layout.audit_every > 0 ? std::min(layout.ranks, settings.global_batch / settings.micro_batch) : 0;
  result.diagnoses.resize(static_cast<std::size_t>(layout.ranks));
  result.audits.resize(static_cast<std::size_t>(audited));
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run_rank = [&](int rank) {
    Communicator& communicator = *communicators[static_cast<std::size_t>(rank)];
    try {
      const auto edit = [&](OpTable& table) {
        if (layout.edit_table) layout.edit_table(table, rank);
      };
      const auto source = [&](std::int64_t step, int microbatch, Batch batch) {
        fill(settings, step, microbatch, batch);
        if (layout.edit_batch) layout.edit_batch(step, microbatch, batch);
      };
      const auto valid = [&](std::int64_t, int microbatch, Batch batch) { fill_valid(settings, microbatch, batch); };
      auto& owner = trainers[static_cast<std::size_t>(rank)];
      PlannedPrograms planned = plan_programs(settings, rank, layout.ranks);
      if (layout.edit_programs) layout.edit_programs(planned, rank);
      owner = std::make_unique<Trainer>(settings, std::move(planned), communicator, BatchSources{source, valid},
                                        RunnerParts{.device = make_device(settings, layout, rank), .edit_table = edit});
      Trainer& trainer = *owner;
      for (int step = 0; step < steps; ++step) {
        const bool audits = layout.audit_every > 0 && (step + 1) % layout.audit_every == 0;
        const StepReport report = trainer.step(step, 1e-2, audits);
        if (!report.applied) result.diagnoses[static_cast<std::size_t>(rank)] = trainer.diagnose(step);
        if (audits && rank < audited) result.audits[static_cast<std::size_t>(rank)] = trainer.audit();
        const double valid_loss = settings.validate ? validate(trainer, layout.ranks) : 0;
        if (rank != 0) continue;
        result.steps.push_back(report);
        if (settings.validate) result.valid_losses.push_back(valid_loss);
      }
      weights[static_cast<std::size_t>(rank)] = trainer.results().hash_weights();
      state[static_cast<std::size_t>(rank)] = trainer.results().hash_states();
      // Ranks as threads read everything in place.
      const RankWire wire = trainer.runner().wire();
      ensure(wire.measured.in_place == wire.planned.in_place + wire.planned.messages,
             "took {} bytes, planned {} and {}", wire.measured.in_place, wire.planned.in_place, wire.planned.messages);
      trainer.runner().close();
      if (layout.at_end) layout.at_end(trainer, communicator);
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      if (layout.on_error) layout.on_error(rank, error.what());
      communicator.abort();
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

void ignore_some_targets(std::int64_t step, int microbatch, Batch batch) {
  for (Elems n = 0; n < batch.token_count(); ++n) {
    const Elems place = n + 3 * step + 5 * microbatch;
    if (place % 3 == 0 || microbatch % 6 == 4) batch.targets.as<std::int32_t>()[n] = -100;
    if (place % 7 == 0) batch.weights.as<float>()[n] = 0;
  }
}

BatchSource cut_into_documents(int sequence) {
  return [sequence](std::int64_t step, int microbatch, Batch batch) {
    const Random random(7, "test documents");
    std::int32_t start = 0;
    for (Elems n = 0; n < batch.token_count(); ++n) {
      const auto place = static_cast<std::int32_t>(n % sequence);
      const auto roll = static_cast<std::uint64_t>((step * 1000 + microbatch) * 1000 + n);
      const bool is_whole = (step + microbatch + n / sequence) % 4 == 3;
      if (place == 0 || (!is_whole && random.below(roll, 4) == 0)) start = place;
      batch.document_starts.as<std::int32_t>()[n] = start;
    }
  };
}

TrainerSettings tiny_settings(Family family, DType compute, DType wire) {
  TrainerSettings settings;
  settings.model = {.family = family,
                    .layers = 2,
                    .width = 48,
                    .heads = 4,
                    .kv_heads = family == Family::gpt2 ? 4 : 2,
                    .ffn = 80,
                    .vocab = 131,
                    .context = 24,
                    .tied = true,
                    .norm_eps = 1e-5f,
                    .rope_theta = 10000.0f};
  if (family == Family::qwen3 || family == Family::mistral) settings.model.head_dim = 14;
  settings.sequence = 17;
  settings.micro_batch = 2;
  settings.global_batch = 2 * 13;
  settings.spec.compute = compute;
  settings.spec.wire = wire;
  settings.seed = 42;
  return settings;
}

TrainerSettings odd_settings(Family family, DType compute, DType wire) {
  TrainerSettings settings = tiny_settings(family, compute, wire);
  settings.model.width = 90;
  settings.model.heads = 3;
  settings.model.kv_heads = family == Family::gpt2 ? 3 : 1;
  if (settings.model.head_dim > 0) settings.model.head_dim = 34;
  settings.model.ffn = 101;
  settings.model.vocab = 307;
  settings.model.context = 41;
  settings.sequence = 40;
  return settings;
}

}  // namespace trireme::test
