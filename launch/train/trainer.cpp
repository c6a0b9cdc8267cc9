#include "launch/train/trainer.h"

#include <utility>

#include "shard/step_records.h"

namespace trireme {
namespace {

RunnerParts with_inputs(RunnerParts parts, const StepInputs& inputs) {
  parts.edit_table = [&inputs, edit = std::move(parts.edit_table)](OpTable& table) {
    table.set(OpKind::step_values, [&inputs](const OpContext& context) { inputs.write(context); });
    if (edit) edit(table);
  };
  return parts;
}

}  // namespace

Trainer::Trainer(const TrainerSettings& settings, PlannedPrograms planned, Communicator& communicator,
                 BatchSources sources, RunnerParts parts)
    : inputs_(planned.programs.spec, settings.sequence, std::move(sources)),
      runner_(settings, std::move(planned), communicator, with_inputs(std::move(parts), inputs_)),
      results_(runner_) {}

StepReport Trainer::step(std::int64_t step, double learning_rate, bool audits) {
  inputs_.set_step(step, learning_rate);
  last_step_ = audits ? ScheduleKind::step_with_audit : ScheduleKind::step;
  runner_.run(last_step_);
  return results_.step(learning_rate);
}

Diagnosis Trainer::diagnose(std::int64_t step) {
  runner_.finish();
  inputs_.set_diagnosis(step);
  runner_.record<Finding>(Content::finding) = {};
  runner_.run(ScheduleKind::diagnose);
  runner_.finish();
  return results_.diagnosis();
}

std::string Trainer::audit() {
  runner_.finish();
  return results_.audit();
}

void Trainer::validate_round(int first, ExactSum& loss, std::int64_t& valid_tokens) {
  inputs_.set_validation(first);
  runner_.run(ScheduleKind::validate);
  runner_.finish();
  results_.add_validation(loss, valid_tokens);
}

int Trainer::choose_next(std::span<const int> tokens) {
  inputs_.set_sample(tokens);
  runner_.run(ScheduleKind::sample);
  return results_.choice();
}

}  // namespace trireme
