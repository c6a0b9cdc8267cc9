#include "optim/optim_ops.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "runtime/base/integer_power.h"
#include "runtime/kernels/adamw.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/ordered_add.h"
#include "runtime/kernels/square_sum.h"
#include "shard/step_records.h"

namespace trireme {
namespace {

class OptimOps {
 public:
  OptimOps(const OptimizerSettings& settings, std::span<const UnitSpec> units, std::span<const FlatLayout> layouts)
      : settings_(settings), units_(units), layouts_(layouts) {}

  void square_sum_of(const OpContext& context) const;
  void accumulate(const OpContext& context) const;
  void add_uses(const OpContext& context) const;
  void verdict(const OpContext& context) const;
  void update(const OpContext& context) const;

 private:
  std::vector<TensorPart> parts(const OpContext& context) const {
    return held_parts(layouts_[static_cast<std::size_t>(*context.op().unit)], context.op().range,
                      context.schedule.rank);
  }
  OptimizerSettings settings_;
  std::span<const UnitSpec> units_;
  std::span<const FlatLayout> layouts_;
};

// By tensor ranges: padding of a gradient may hold anything.
void OptimOps::square_sum_of(const OpContext& context) const {
  const View accumulator = context.view(Slot::accumulator);
  StepSums& sums = context.record<StepSums>(Slot::sums);
  for (const TensorPart& part : parts(context))
    square_sum({.x = accumulator.cols_from(part.in_slice, part.elems), .sum = &sums.square_norm});
}

void OptimOps::add_uses(const OpContext& context) const {
  const Op& op = context.op();
  const int rank = context.schedule.rank;
  const FlatRange own = op.range.owned_by(rank);
  if (own.elems == 0) return;
  const View accumulator = context.view(Slot::accumulator);
  const ConstView other = context.view(Slot::other);
  ordered_add({.accumulator = accumulator.cols_from(own.begin - rank * own.slice_elems, own.elems),
               .pieces = {&other, 1},
               .store_first = false});
}

void OptimOps::accumulate(const OpContext& context) const {
  const View sum = context.view(Slot::accumulator);
  if (sum.empty()) return;
  ConstView value = context.view(Slot::gradient);
  if (const View rounded = context.view_if_any(Slot::workspace); !rounded.empty()) {
    cast({.in = value, .out = rounded});
    value = rounded;
  }
  const bool adds = context.op().find(Slot::accumulator)->reads();
  ordered_add({.accumulator = sum, .pieces = {&value, 1}, .store_first = !adds});
}

void OptimOps::verdict(const OpContext& context) const {
  const StepSums& sums = context.record<StepSums>(Slot::sums);
  const StepValues& values = context.record<StepValues>(Slot::values);
  Verdict& verdict = context.record<Verdict>(Slot::verdict);
  StepCounters& counters = context.record<StepCounters>(Slot::counters);
  const double norm = std::sqrt(sums.square_norm.value());
  verdict = {.loss = sums.loss.value() / static_cast<double>(sums.valid_tokens),
             .gradient_norm = norm,
             .learning_rate = values.learning_rate};
  verdict.go = std::isfinite(verdict.loss) && std::isfinite(norm) ? 1 : 0;
  if (!verdict.go) return;
  ++counters.applied_updates;
  const std::int64_t t = counters.applied_updates;
  verdict.clip_scale = settings_.clip > 0 ? std::min(1.0, settings_.clip / (norm + 1e-6)) : 1.0;
  verdict.correction1 = 1 - integer_power(settings_.beta1, t);
  verdict.correction2 = 1 - integer_power(settings_.beta2, t);
}

void OptimOps::update(const OpContext& context) const {
  const Op& op = context.op();
  const Verdict& verdict = context.record<Verdict>(Slot::verdict);
  const View gradient = context.view(Slot::accumulator), master = context.view(Slot::master);
  // Where peers gather the master itself there is no exported copy.
  const View exported = context.view_if_any(Slot::exported);
  if (!verdict.go) {
    // Peers may gather it all the same, and it may live for that alone.
    if (!exported.empty()) cast({.in = master, .out = exported});
    return;
  }
  auto states = context.list(Slot::states);
  const View m = context.view(*states.begin()), v = context.view(*std::next(states.begin()));
  const std::vector<TensorSpec>& tensors = units_[static_cast<std::size_t>(*op.unit)].tensors;
  for (const TensorPart& part : parts(context)) {
    const auto cut = [&](const View& view) {
      return view.empty() ? View() : view.cols_from(part.in_slice, part.elems);
    };
    const TensorSpec& tensor = tensors[static_cast<std::size_t>(part.tensor)];
    adamw({.master = cut(master),
           .m = cut(m),
           .v = cut(v),
           .gradient = cut(gradient),
           .exported = cut(exported),
           .learning_rate = verdict.learning_rate * tensor.lr_factor,
           .beta1 = settings_.beta1,
           .beta2 = settings_.beta2,
           .eps = settings_.eps,
           .weight_decay = tensor.decay ? settings_.weight_decay : 0.0,
           .correction1 = verdict.correction1,
           .correction2 = verdict.correction2,
           .gradient_scale = verdict.clip_scale});
  }
}

}  // namespace

void register_optim_ops(OpTable& table, const OptimizerSettings& settings, std::span<const UnitSpec> units,
                        std::span<const FlatLayout> layouts) {
  const auto ops = std::make_shared<const OptimOps>(settings, units, layouts);
  table.set(OpKind::round, [](const OpContext& context) {
    cast({.in = context.view(Slot::chain), .out = context.view(Slot::gradient)});
  });
  table.set(OpKind::accumulate, [ops](const OpContext& context) { ops->accumulate(context); });
  table.set(OpKind::add_uses, [ops](const OpContext& context) { ops->add_uses(context); });
  table.set(OpKind::square_sum, [ops](const OpContext& context) { ops->square_sum_of(context); });
  table.set(OpKind::verdict, [ops](const OpContext& context) { ops->verdict(context); });
  table.set(OpKind::update, [ops](const OpContext& context) { ops->update(context); });
}

}  // namespace trireme
