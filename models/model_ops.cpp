#include "models/model_ops.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/base/random.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/fill_normal.h"
#include "shard/operands.h"
#include "shard/step_records.h"

namespace trireme {
namespace {

/// Operands of one op in the order of shard/operands.h, taken one after the other.
class Operands {
 public:
  Operands(const OpContext& context, const std::vector<BufferId>& ids) : context_(context), ids_(ids) {}

  View next() { return context_.view(next_id()); }
  /// Empty when none is left.
  View next_if_any() {
    skip_tokens();
    return next_ < ids_.size() ? next() : View();
  }
  template <typename Record>
  Record& next_record() {
    return context_.record<Record>(next_id());
  }

 private:
  void skip_tokens() {
    while (next_ < ids_.size() && context_.buffer(ids_[next_]).role == Role::token) ++next_;
  }
  BufferId next_id() {
    skip_tokens();
    ensure(next_ < ids_.size(), "{} has too few operands", describe(context_.schedule, context_.id));
    return ids_[next_++];
  }

  const OpContext& context_;
  const std::vector<BufferId>& ids_;
  std::size_t next_ = 0;
};

class ModelOps {
 public:
  ModelOps(std::shared_ptr<const Model> model, std::span<const UnitSpec> units, std::span<const FlatLayout> layouts,
           std::uint64_t seed)
      : model_(std::move(model)), units_(units), layouts_(layouts), seed_(seed) {}

  void init(const OpContext& context) const;
  void forward(const OpContext& context) const;
  void recompute(const OpContext& context) const;
  void backward(const OpContext& context) const;
  void forward_backward(const OpContext& context) const;

 private:
  UnitTensors gradients(const OpContext& context, View flat) const {
    const auto u = static_cast<std::size_t>(*context.op().unit);
    return {.unit = &units_[u], .layout = &layouts_[u], .flat = flat};
  }
  bool has_gradient(const OpContext& context) const { return !layouts_[static_cast<std::size_t>(*context.op().unit)].is_empty(); }
  // `full` is the first operand and stands for the frozen tensors where the unit has no others; else those come last.
  UnitTensors parameters(const OpContext& context, View full, Operands& in) const {
    UnitTensors tensors = gradients(context, full);
    if (!tensors.unit->frozen) return tensors;
    tensors.frozen_layout = &layouts_[static_cast<std::size_t>(*tensors.unit->frozen)];
    tensors.frozen = has_gradient(context) ? in.next() : std::exchange(tensors.flat, View());
    return tensors;
  }
  const UnitSpec& unit(const OpContext& context) const { return units_[static_cast<std::size_t>(*context.op().unit)]; }
  // The head's own vocabulary tensor is its last one.
  View vocabulary(const UnitTensors& head, View tied) const {
    if (!head.unit->tied) return head[static_cast<int>(head.unit->tensors.size()) - 1];
    const TiedTensor& t = *head.unit->tied;
    const TensorSpec& spec = units_[static_cast<std::size_t>(t.unit)].tensors[static_cast<std::size_t>(t.tensor)];
    const auto owner = static_cast<std::size_t>(spec.trainable ? t.unit : *units_[static_cast<std::size_t>(t.unit)].frozen);
    if (tied.empty() || tied.elems() == spec.elems()) return tied.empty() ? View() : tied.reshape(spec.rows, spec.cols);
    return UnitTensors{.unit = &units_[owner], .layout = &layouts_[owner], .flat = tied}[t.tensor];  // the owner's parameters, whole
  }
  void block_forward(const OpContext& context, View out, View saved, View workspace) const;
  void head(const OpContext& context) const;
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
  if (spec.init.kind == InitRule::Kind::constant) fill_constant(kept, static_cast<float>(spec.init.value));
  else fill_normal({.out = kept, .random = Random(seed_, spec.name), .first_index = static_cast<std::uint64_t>(part.first),
                    .scale = spec.init.value});
}

void ModelOps::init(const OpContext& context) const {
  const Op& op = context.op();
  for (BufferId b : op.writes)
    if (const View view = context.view(b); !view.empty()) std::memset(view.data, 0, static_cast<std::size_t>(view.bytes()));
  Operands out(context, op.writes);
  if (!op.unit) {
    if (const View constants = out.next(); !constants.empty()) model_->fill_constants(constants);
    return;
  }
  const View master = out.next();
  const auto u = static_cast<std::size_t>(*op.unit);
  for (const TensorPart& part : held_parts(layouts_[u], op.range, context.schedule.rank))
    fill(units_[u].tensors[static_cast<std::size_t>(part.tensor)], part, master);
  for (BufferId b : op.writes)
    if (context.buffer(b).role == Role::parameters && context.address(b) != master.data)
      cast({.in = master, .out = context.view(b)});
}

void ModelOps::forward(const OpContext& context) const {
  Operands in(context, context.op().reads), out(context, context.op().writes);
  switch (unit(context).kind) {
    case UnitKind::embedding: {
      const View full = in.next();
      const Batch batch(in.next());
      model_->forward({.parameters = parameters(context, full, in), .batch = batch, .out = out.next(), .workspace = out.next()});
      return;
    }
    case UnitKind::block: {
      const View made = out.next(), saved = out.next();
      return block_forward(context, made, saved, out.next());
    }
    case UnitKind::head: head(context); return;
    case UnitKind::frozen: return;  // has no segment
  }
}

void ModelOps::recompute(const OpContext& context) const {
  Operands out(context, context.op().writes);
  const View saved = out.next(), workspace = out.next();
  block_forward(context, out.next_if_any(), saved, workspace);
}

void ModelOps::block_forward(const OpContext& context, View out, View saved, View workspace) const {
  Operands in(context, context.op().reads);
  const View full = in.next(), x = in.next();
  const Batch batch(in.next());
  const View constants = in.next();
  model_->forward(*context.op().segment,
                  {.parameters = parameters(context, full, in), .x = x, .batch = batch, .constants = constants, .out = out,
                   .saved = saved, .workspace = workspace});
}

void ModelOps::backward(const OpContext& context) const {
  Operands in(context, context.op().reads), out(context, context.op().writes);
  if (unit(context).kind == UnitKind::embedding) {
    const View d_out = in.next();
    const Batch batch(in.next());
    const UnitTensors g = gradients(context, out.next());
    model_->backward({.d_out = d_out, .batch = batch, .gradients = g, .workspace = out.next()});
    return;
  }
  const View full = in.next(), d_out = in.next(), x = in.next(), saved = in.next();
  const Batch batch(in.next());
  const View constants = in.next(), d_x = out.next();
  const UnitTensors g = gradients(context, has_gradient(context) ? out.next() : View());
  model_->backward(*context.op().segment,
                   {.parameters = parameters(context, full, in), .d_out = d_out, .x = x, .saved = saved, .batch = batch,
                    .constants = constants, .d_x = d_x, .gradients = g, .workspace = out.next()});
}

void ModelOps::head(const OpContext& context) const {
  Operands in(context, context.op().reads), out(context, context.op().writes);
  const View full = in.next(), x = in.next();
  const Batch batch(in.next());
  in.next();  // constants
  const bool is_tied = unit(context).tied.has_value();
  if (*context.op().segment == 1) {
    const StepValues& values = in.next_record<StepValues>();
    const View tied = is_tied ? in.next() : View(), choice = out.next();
    const UnitTensors p = parameters(context, full, in);
    model_->choose({.parameters = p, .vocabulary = vocabulary(p, tied), .x = x, .position = values.position, .choice = choice,
                    .workspace = out.next()});
    return;
  }
  const bool backward = context.op().kind == OpKind::forward_backward;
  const std::int64_t valid_tokens = backward ? in.next_record<TokenCount>().valid_tokens : 0;
  in.next();  // sums, which are written, too
  const View tied = is_tied ? in.next() : View();
  const UnitTensors p = parameters(context, full, in);
  const View d_x = backward ? out.next() : View();
  const UnitTensors g = gradients(context, backward && has_gradient(context) ? out.next() : View());
  StepSums& sums = out.next_record<StepSums>();
  const View workspace = out.next();
  const View d_table = backward ? vocabulary(g, out.next_if_any()) : View();
  model_->head({.parameters = p, .vocabulary = vocabulary(p, tied), .x = x, .batch = batch, .valid_tokens = valid_tokens,
                .sums = &sums, .d_x = d_x, .gradients = g, .d_vocabulary = d_table, .workspace = workspace});
}

void ModelOps::forward_backward(const OpContext& context) const { head(context); }

}  // namespace

void register_model_ops(OpTable& table, std::shared_ptr<const Model> model, std::span<const UnitSpec> units,
                        std::span<const FlatLayout> layouts, std::uint64_t seed) {
  const auto ops = std::make_shared<const ModelOps>(std::move(model), units, layouts, seed);
  table.set(OpKind::init, [ops](const OpContext& context) { ops->init(context); });
  table.set(OpKind::forward, [ops](const OpContext& context) { ops->forward(context); });
  table.set(OpKind::recompute, [ops](const OpContext& context) { ops->recompute(context); });
  table.set(OpKind::backward, [ops](const OpContext& context) { ops->backward(context); });
  table.set(OpKind::forward_backward, [ops](const OpContext& context) { ops->forward_backward(context); });
}

}  // namespace trireme
