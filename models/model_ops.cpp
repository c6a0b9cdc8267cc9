#include "models/model_ops.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/base/random.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/fill_normal.h"
#include "shard/step_records.h"

namespace trireme {
namespace {

class ModelOps {
 public:
  ModelOps(std::shared_ptr<const Model> model, std::span<const UnitSpec> units, std::span<const FlatLayout> layouts,
           std::uint64_t seed)
      : model_(std::move(model)), units_(units), layouts_(layouts), seed_(seed) {}

  void init(const OpContext& context) const;
  void forward(const OpContext& context) const;
  void block_forward(const OpContext& context) const;
  void backward(const OpContext& context) const;
  void head(const OpContext& context) const;

 private:
  UnitTensors gradients(const OpContext& context, View flat) const {
    const auto u = static_cast<std::size_t>(*context.op().unit);
    return {.unit = &units_[u], .layout = &layouts_[u], .flat = flat};
  }
  // The frozen tensors stand alone where the unit has no others.
  UnitTensors parameters(const OpContext& context) const {
    UnitTensors tensors = gradients(context, context.view(Slot::parameters));
    if (!tensors.unit->frozen) return tensors;
    tensors.frozen_layout = &layouts_[static_cast<std::size_t>(*tensors.unit->frozen)];
    tensors.frozen = context.op().has(Slot::frozen) ? context.view(Slot::frozen) : std::exchange(tensors.flat, View());
    return tensors;
  }
  const UnitSpec& unit(const OpContext& context) const { return units_[static_cast<std::size_t>(*context.op().unit)]; }
  // The head's own tensor, or the tied one.
  View vocabulary(const UnitTensors& head, View tied) const {
    if (!head.unit->tied) return head[*head.unit->vocabulary];
    const TiedTensor& t = *head.unit->tied;
    const TensorSpec& spec = units_[static_cast<std::size_t>(t.unit)].tensors[static_cast<std::size_t>(t.tensor)];
    const auto owner =
        static_cast<std::size_t>(spec.trainable ? t.unit : *units_[static_cast<std::size_t>(t.unit)].frozen);
    if (tied.empty() || tied.elems() == spec.elems()) return tied.empty() ? View() : tied.reshape(spec.rows, spec.cols);
    return UnitTensors{
        .unit = &units_[owner], .layout = &layouts_[owner], .flat = tied}[t.tensor];  // the owner's parameters, whole
  }
  void choose(const OpContext& context) const;
  void fill(const TensorSpec& spec, const TensorPart& part, View out) const;

  std::shared_ptr<const Model> model_;
  std::span<const UnitSpec> units_;
  std::span<const FlatLayout> layouts_;
  std::uint64_t seed_;
};

void ModelOps::fill(const TensorSpec& spec, const TensorPart& part, View out) const {
  const Elems real = (spec.rows - spec.init.padding_rows) * spec.cols;
  const Elems count = std::min(part.elems, std::max<Elems>(0, real - part.first));
  if (count == 0) return;
  const View kept = out.cols_from(part.in_slice, count);
  if (spec.init.kind == InitRule::Kind::constant)
    fill_constant(kept, static_cast<float>(spec.init.value));
  else
    fill_normal({.out = kept,
                 .random = Random(seed_, spec.name),
                 .first_index = static_cast<std::uint64_t>(part.first),
                 .scale = spec.init.value});
}

void ModelOps::init(const OpContext& context) const {
  const Op& op = context.op();
  for (BufferId b : op.writes())
    if (const View view = context.view(b); !view.empty())
      std::memset(view.data, 0, static_cast<std::size_t>(view.bytes()));
  if (!op.unit) {
    if (const View constants = context.view(Slot::constants); !constants.empty()) model_->fill_constants(constants);
    return;
  }
  const View master = context.view(Slot::master);
  const auto u = static_cast<std::size_t>(*op.unit);
  for (const TensorPart& part : held_parts(layouts_[u], op.range, context.schedule.rank))
    fill(units_[u].tensors[static_cast<std::size_t>(part.tensor)], part, master);
  if (const View exported = context.view_if_any(Slot::exported); !exported.empty())
    cast({.in = master, .out = exported});
}

void ModelOps::forward(const OpContext& context) const {
  switch (unit(context).kind) {
    case UnitKind::embedding:
      model_->forward({.parameters = parameters(context),
                       .batch = Batch(context.view(Slot::batch)),
                       .out = context.view(Slot::out),
                       .workspace = context.view(Slot::workspace)});
      return;
    case UnitKind::block: return block_forward(context);
    case UnitKind::head: return context.op().has(Slot::choice) ? choose(context) : head(context);
    case UnitKind::frozen: return;  // has no segment
  }
}

// Also of recompute, which may need no output.
void ModelOps::block_forward(const OpContext& context) const {
  model_->forward(*context.op().segment, {.parameters = parameters(context),
                                          .x = context.view(Slot::x),
                                          .batch = Batch(context.view(Slot::batch)),
                                          .constants = context.view(Slot::constants),
                                          .out = context.view_if_any(Slot::out),
                                          .saved = context.view(Slot::saved),
                                          .workspace = context.view(Slot::workspace)});
}

void ModelOps::backward(const OpContext& context) const {
  const Batch batch(context.view(Slot::batch));
  const UnitTensors g = gradients(context, context.view_if_any(Slot::gradient));
  const View d_out = context.view(Slot::d_out), workspace = context.view(Slot::workspace);
  if (unit(context).kind == UnitKind::embedding)
    return model_->backward({.d_out = d_out, .batch = batch, .gradients = g, .workspace = workspace});
  model_->backward(*context.op().segment, {.parameters = parameters(context),
                                           .d_out = d_out,
                                           .x = context.view(Slot::x),
                                           .saved = context.view(Slot::saved),
                                           .batch = batch,
                                           .constants = context.view(Slot::constants),
                                           .d_x = context.view(Slot::d_x),
                                           .gradients = g,
                                           .workspace = workspace});
}

void ModelOps::choose(const OpContext& context) const {
  const UnitTensors p = parameters(context);
  model_->choose({.parameters = p,
                  .vocabulary = vocabulary(p, context.view_if_any(Slot::tied)),
                  .x = context.view(Slot::x),
                  .position = context.record<StepValues>(Slot::values).position,
                  .choice = context.view(Slot::choice),
                  .workspace = context.view(Slot::workspace)});
}

// The loss; with the input's gradient also backward.
void ModelOps::head(const OpContext& context) const {
  const bool backward = context.op().kind == OpKind::forward_backward;
  const UnitTensors p = parameters(context), g = gradients(context, context.view_if_any(Slot::gradient));
  model_->loss({.parameters = p,
                .vocabulary = vocabulary(p, context.view_if_any(Slot::tied)),
                .x = context.view(Slot::x),
                .batch = Batch(context.view(Slot::batch)),
                .valid_tokens = backward ? context.record<TokenCount>(Slot::tokens).valid_tokens : 0,
                .sums = &context.record<StepSums>(Slot::sums),
                .d_x = context.view_if_any(Slot::d_x),
                .gradients = g,
                .d_vocabulary = backward ? vocabulary(g, context.view_if_any(Slot::tied_gradient)) : View(),
                .workspace = context.view(Slot::workspace)});
}

}  // namespace

void register_model_ops(OpTable& table, std::shared_ptr<const Model> model, std::span<const UnitSpec> units,
                        std::span<const FlatLayout> layouts, std::uint64_t seed) {
  const auto ops = std::make_shared<const ModelOps>(std::move(model), units, layouts, seed);
  table.set(OpKind::init, [ops](const OpContext& context) { ops->init(context); });
  table.set(OpKind::forward, [ops](const OpContext& context) { ops->forward(context); });
  table.set(OpKind::recompute, [ops](const OpContext& context) { ops->block_forward(context); });
  table.set(OpKind::backward, [ops](const OpContext& context) { ops->backward(context); });
  table.set(OpKind::forward_backward, [ops](const OpContext& context) { ops->head(context); });
}

}  // namespace trireme
