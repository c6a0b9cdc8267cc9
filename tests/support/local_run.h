#pragma once
// Trains for a few steps with ranks as threads, and hashes what came out.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/train/trainer.h"

namespace trireme::test {

/// How a run is laid out beyond what TrainerSettings says.
struct LocalLayout {
  int ranks = 1;
  int checked_seed = -1;  // >= 0: under the checked device; delays of ops and of reads of peers' memory from it
  std::function<void(OpTable&, int rank)> edit_table;             // plants a fault
  std::function<void(PlannedPrograms&, int rank)> edit_programs;  // the same
  int audit_every = 0;
  std::function<void(Trainer&, Communicator&)> at_end;                 // on every rank, when all ranks have closed
  BatchSource edit_batch;                                              // changes a training batch that is filled
  std::function<void(int rank, const std::string& message)> on_error;  // of each rank that fails, one at a time
};

/// What a run left behind; equal runs compare equal.
struct LocalResult {
  std::uint64_t weights = 0, state = 0;
  std::vector<StepReport> steps;
  std::vector<Diagnosis> diagnoses;  // of the last step that was not applied, by rank
  std::vector<std::string> audits;   // of the last audit, by rank: what Trainer::audit() said
  std::vector<double> valid_losses;  // behind each step, where the settings say validate
};

/// Microbatches of a validation: a number that few rank counts divide.
inline constexpr int validation_microbatches = 7;

/// Tokens are random but for a pattern that can be learned; a function of (step, microbatch) alone.
LocalResult train_locally(const TrainerSettings& settings, const LocalLayout& layout, int steps);

/// Some targets of a training batch do not count, by value or by weight; of some microbatches none does.
void ignore_some_targets(std::int64_t step, int microbatch, Batch batch);

/// Cuts sequences of so many tokens of a training batch into documents, some of one token, some whole.
BatchSource cut_into_documents(int sequence);

/// Small models for tests: any family, odd sizes, several blocks.
TrainerSettings tiny_settings(Family family, DType compute, DType wire);

/// The same of odd sizes: 3 heads of 30 channels, one key head where there may be, 307 tokens, sequences of 40.
TrainerSettings odd_settings(Family family, DType compute, DType wire);

/// A scaling of RoPE that keeps, bends and divides frequencies of tiny models.
inline constexpr RopeScaling tiny_rope_scaling = {
    .factor = 4, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 32};

}  // namespace trireme::test
