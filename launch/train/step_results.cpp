#include "launch/train/step_results.h"

#include <fmt/ranges.h>

#include "optim/check_finite.h"
#include "shard/state_hash.h"
#include "shard/step_records.h"

namespace trireme {

StepReport StepResults::step(double learning_rate) const {
  const Verdict& verdict = runner_.record<Verdict>(Content::verdict);
  return {.loss = verdict.loss,
          .gradient_norm = verdict.gradient_norm,
          .learning_rate = learning_rate,
          .valid_tokens = runner_.record<TokenCount>(Content::tokens).valid_tokens,
          .applied = verdict.go != 0};
}

Diagnosis StepResults::diagnosis() const {
  const Finding& finding = runner_.record<Finding>(Content::finding);
  if (finding.op < 0) return {};
  return {.op = finding.op,
          .text = describe(finding, runner_.schedule(ScheduleKind::diagnose), runner_.programs().model.units)};
}

std::string StepResults::audit() const {
  const StepSpec& spec = runner_.programs().spec;
  if (!spec.takes_part(0)) return "";
  const bool is_own_neighbour = spec.neighbour(1) == spec.rank;
  const auto replayed = runner_.records<std::int64_t>(Content::replayed_hashes);
  const auto expected =
      runner_.records<std::int64_t>(is_own_neighbour ? Content::own_hashes : Content::received_hashes);
  const Schedule& schedule = runner_.schedule(ScheduleKind::step_with_audit);
  std::vector<std::string> units;
  std::size_t place = 0;  // in a record of hashes: behind their count
  for (const Op& op : schedule.ops) {
    if (op.kind != OpKind::hash) continue;
    const Buffer& hashes = schedule.buffers[static_cast<std::size_t>(op.at(Slot::hashes))];
    if (hashes.content != Content::replayed_hashes) continue;
    ++place;
    if (replayed[place] != expected[place])
      units.push_back(runner_.programs().model.units[static_cast<std::size_t>(*op.unit)].name);
  }
  return fmt::format("{}", fmt::join(units, ", "));
}

void StepResults::add_validation(ExactSum& loss, std::int64_t& valid_tokens) const {
  const StepSums& sums = runner_.record<StepSums>(Content::sums);
  loss.merge(sums.loss);
  valid_tokens += sums.valid_tokens;
}

BlockHashes StepResults::hash_weights() const {
  runner_.finish();
  const std::vector<FlatLayout>& layouts = runner_.layouts();
  BlockHashes hashes;
  for (std::size_t u = 0; u < layouts.size(); ++u)
    if (!layouts[u].is_empty())
      hash_blocks(layouts[u], runner_.programs().spec.rank, runner_.slice(Content::master, u), hashes.emplace_back());
  return hashes;
}

BlockHashes StepResults::hash_states() const {
  runner_.finish();
  const std::vector<FlatLayout>& layouts = runner_.layouts();
  const RankPrograms& programs = runner_.programs();
  BlockHashes hashes;
  for (std::size_t u = 0; u < layouts.size(); ++u) {
    // Frozen tensors have none.
    if (layouts[u].is_empty() || programs.model.units[u].kind == UnitKind::frozen) continue;
    for (std::size_t k = 0; k < programs.spec.states.size(); ++k)
      hash_blocks(layouts[u], programs.spec.rank, runner_.slice(Content::state, u, k), hashes.emplace_back());
  }
  return hashes;
}

}  // namespace trireme
