#pragma once
// The host's side of a schedule's inputs: the values of a step, its batches, and the text that a sample continues.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/batch.h"
#include "runtime/execute/op_table.h"
#include "shard/step_records.h"
#include "shard/step_spec.h"

namespace trireme {

/// Fills the planned buffers of one microbatch, but for positions; document starts are 0 before: of step `step` and
/// number `microbatch` in it.
using BatchSource = std::function<void(std::int64_t step, int microbatch, Batch batch)>;

struct BatchSources {
  BatchSource training, validation;
};

/// Threads  the host sets what the next schedule is to read while none runs; write() runs on the compute stream.
class StepInputs {
 public:
  StepInputs(const StepSpec& spec, int sequence, BatchSources sources);

  void set_step(std::int64_t step, double learning_rate);
  /// That step once more.
  void set_diagnosis(std::int64_t step);
  /// Of a round of validation microbatches, one for each rank: the number of the first.
  void set_validation(int first) { first_validation_ = first; }
  /// At most a sequence of tokens, whose successor is asked for.
  void set_sample(std::span<const int> tokens);

  /// The handler of step_values: straight into planned buffers.
  void write(const OpContext& context) const;

 private:
  void fill(const Schedule& schedule, int microbatch, const Batch& batch) const;
  void fill_sample(const Batch& batch) const;

  StepSpec spec_;
  int sequence_;
  BatchSources sources_;
  StepValues next_;
  int first_validation_ = 0;
  std::vector<int> sample_tokens_;
};

}  // namespace trireme
