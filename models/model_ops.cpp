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
  ModelOps(std::shared_ptr<const Model> model, std::vector<UnitSpec> units, std::vector<FlatLayout> layouts,
           std::uint64_t seed)
      : model_(std::move(model)), units_(std::move(units)), layouts_(std::move(layouts)), seed_(seed) {}

  void init(const OpContext& context) const;
  void forward(const OpContext& context) const;
  void recompute(const OpContext& context) const;
  void backward(const OpContext& context) const;
  void forward_backward(const OpContext& context) const;

 private:
  UnitTensors tensors(const OpContext& context, View flat) const {
    const auto u = static_cast<std::size_t>(*context.op().unit);
    return {&units_[u], &layouts_[u], flat};
  }
  const UnitSpec& unit(const OpContext& context) const { return units_[static_cast<std::size_t>(*context.op().unit)]; }
  // The head's own vocabulary tensor is its last one.
  View vocabulary(const UnitTensors& head, View tied) const {
    if (!head.unit->tied) return head[static_cast<int>(head.unit->tensors.size()) - 1];
    const TiedTensor& t = *head.unit->tied;
    const auto owner = static_cast<std::size_t>(t.unit);
    const TensorSpec& spec = units_[owner].tensors[static_cast<std::size_t>(t.tensor)];
    if (tied.empty() || tied.elems() == spec.elems()) return tied.empty() ? View() : tied.reshape(spec.rows, spec.cols);
    return UnitTensors{&units_[owner], &layouts_[owner], tied}[t.tensor];  // the owner's parameters, whole
  }
  void head(const OpContext& context) const;
  void fill(const TensorSpec& spec, const TensorPart& part, View out) const;

  std::shared_ptr<const Model> model_;
  std::vector<UnitSpec> units_;
  std::vector<FlatLayout> layouts_;
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
      const UnitTensors parameters = tensors(context, in.next());
      model_->forward({.parameters = parameters, .batch = Batch(in.next()), .out = out.next(), .workspace = out.next()});
      return;
    }
    case UnitKind::block: {
      const UnitTensors parameters = tensors(context, in.next());
      const View x = in.next();
      const Batch batch(in.next());
      model_->forward(*context.op().segment, {.parameters = parameters, .x = x, .batch = batch, .constants = in.next(),
                                              .out = out.next(), .saved = out.next(), .workspace = out.next()});
      return;
    }
    case UnitKind::head: head(context); return;
  }
}

void ModelOps::recompute(const OpContext& context) const {
  Operands in(context, context.op().reads), out(context, context.op().writes);
  const UnitTensors parameters = tensors(context, in.next());
  const View x = in.next();
  const Batch batch(in.next());
  const View saved = out.next(), workspace = out.next();
  model_->forward(*context.op().segment, {.parameters = parameters, .x = x, .batch = batch, .constants = in.next(),
                                          .out = out.next_if_any(), .saved = saved, .workspace = workspace});
}

void ModelOps::backward(const OpContext& context) const {
  Operands in(context, context.op().reads), out(context, context.op().writes);
  if (unit(context).kind == UnitKind::embedding) {
    const View d_out = in.next();
    const Batch batch(in.next());
    const UnitTensors gradients = tensors(context, out.next());
    model_->backward({.d_out = d_out, .batch = batch, .gradients = gradients, .workspace = out.next()});
    return;
  }
  const UnitTensors parameters = tensors(context, in.next());
  const View d_out = in.next(), x = in.next(), saved = in.next();
  const Batch batch(in.next());
  const View constants = in.next(), d_x = out.next();
  const UnitTensors gradients = tensors(context, out.next());
  model_->backward(*context.op().segment,
                   {.parameters = parameters, .d_out = d_out, .x = x, .saved = saved, .batch = batch,
                    .constants = constants, .d_x = d_x, .gradients = gradients, .workspace = out.next()});
}

void ModelOps::head(const OpContext& context) const {
  Operands in(context, context.op().reads), out(context, context.op().writes);
  const UnitTensors parameters = tensors(context, in.next());
  const View x = in.next();
  const Batch batch(in.next());
  in.next();  // constants
  if (*context.op().segment == 1) {
    const StepValues& values = in.next_record<StepValues>();
    const View choice = out.next();
    model_->choose({.parameters = parameters, .vocabulary = vocabulary(parameters, in.next_if_any()), .x = x,
                    .position = values.position, .choice = choice, .workspace = out.next()});
    return;
  }
  const bool backward = context.op().kind == OpKind::forward_backward;
  const std::int64_t valid_tokens = backward ? in.next_record<TokenCount>().valid_tokens : 0;
  in.next();  // sums, which are written, too
  const View table = vocabulary(parameters, in.next_if_any());
  const View d_x = backward ? out.next() : View();
  const UnitTensors gradients = tensors(context, backward ? out.next() : View());
  StepSums& sums = out.next_record<StepSums>();
  const View workspace = out.next();
  const View d_table = backward ? vocabulary(gradients, out.next_if_any()) : View();
  model_->head({.parameters = parameters, .vocabulary = table, .x = x, .batch = batch, .valid_tokens = valid_tokens,
                .sums = &sums, .d_x = d_x, .gradients = gradients, .d_vocabulary = d_table, .workspace = workspace});
}

void ModelOps::forward_backward(const OpContext& context) const { head(context); }

}  // namespace

void register_model_ops(OpTable& table, std::shared_ptr<const Model> model, std::vector<UnitSpec> units,
                        std::vector<FlatLayout> layouts, std::uint64_t seed) {
  const auto ops = std::make_shared<const ModelOps>(std::move(model), std::move(units), std::move(layouts), seed);
  table.set(OpKind::init, [ops](const OpContext& context) { ops->init(context); });
  table.set(OpKind::forward, [ops](const OpContext& context) { ops->forward(context); });
  table.set(OpKind::recompute, [ops](const OpContext& context) { ops->recompute(context); });
  table.set(OpKind::backward, [ops](const OpContext& context) { ops->backward(context); });
  table.set(OpKind::forward_backward, [ops](const OpContext& context) { ops->forward_backward(context); });
}

}  // namespace trireme
