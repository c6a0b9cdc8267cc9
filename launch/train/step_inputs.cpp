#include "launch/train/step_inputs.h"

#include <algorithm>
#include <utility>

namespace trireme {

StepInputs::StepInputs(const StepSpec& spec, int sequence, BatchSources sources)
    : spec_(spec), sequence_(sequence), sources_(std::move(sources)) {}

void StepInputs::set_step(std::int64_t step, double learning_rate) {
  next_ = {.step = step, .learning_rate = learning_rate};
}

void StepInputs::set_diagnosis(std::int64_t step) { next_.step = step; }

void StepInputs::set_sample(std::span<const int> tokens) {
  sample_tokens_.assign(tokens.begin(), tokens.end());
  next_.position = static_cast<std::int64_t>(tokens.size()) - 1;
}

void StepInputs::write(const OpContext& context) const {
  context.record<StepValues>(Slot::values) = next_;
  context.record<StepSums>(Slot::sums) = StepSums();
  TokenCount& tokens = context.record<TokenCount>(Slot::tokens);
  tokens = TokenCount();
  int turn = 0;
  for (BufferId b : context.list(Slot::batches)) {
    const Batch batch(context.view(b));
    fill(context.schedule, spec_.microbatch(turn++), batch);
    tokens.valid_tokens += batch.valid_tokens();
  }
  // What an audit replays counts for the rank that it belongs to.
  if (const View replayed = context.view_if_any(Slot::audit_batch); !replayed.empty())
    fill(context.schedule, spec_.microbatch_of(0, spec_.neighbour(1)), Batch(replayed));
}

// `microbatch`: of a step.
void StepInputs::fill(const Schedule& schedule, int microbatch, const Batch& batch) const {
  const std::span starts(batch.document_starts.as<std::int32_t>(), static_cast<std::size_t>(batch.token_count()));
  std::fill(starts.begin(), starts.end(), 0);  // for sources without documents
  if (is_step(schedule.kind) || schedule.kind == ScheduleKind::diagnose)
    sources_.training(next_.step, microbatch, batch);
  else if (schedule.kind == ScheduleKind::validate)
    sources_.validation(next_.step, first_validation_ + schedule.rank, batch);
  else
    fill_sample(batch);
  for (Elems n = 0; n < batch.token_count(); ++n)
    batch.positions.as<std::int32_t>()[n] =
        static_cast<std::int32_t>(n % sequence_) - starts[static_cast<std::size_t>(n)];
}

void StepInputs::fill_sample(const Batch& batch) const {
  for (Elems n = 0; n < batch.token_count(); ++n) {
    const auto i = static_cast<std::size_t>(n);
    batch.tokens.as<std::int32_t>()[n] = i < sample_tokens_.size() ? sample_tokens_[i] : 0;
    batch.targets.as<std::int32_t>()[n] = 0;
    batch.weights.as<float>()[n] = 0;
  }
}

}  // namespace trireme
