#include "shard/order/compute_order.h"

#include "shard/order/order_writer.h"

namespace trireme {
namespace {

// Forward and backward of every turn.
void add_turns(OrderWriter& order, const StepSpec& spec) {
  order.step_values(spec.turns());
  order.add_accumulators();
  for (int turn = 0; turn < spec.turns(); ++turn) {
    const std::vector<int> to = spec.ranks_in(turn);
    order.forward_embedding(turn, to);
    // Behind the first compute, so that it hides behind forward: the first head needs it.
    if (turn == 0) order.sum_tokens();
    order.forward_blocks(to);
    order.head(HeadOutput::gradient, to);
    order.backward(to);
  }
}

}  // namespace

Schedule order_step(const ModelSpec& model, const StepSpec& spec) {
  OrderWriter order(ScheduleKind::step, model, spec);
  add_turns(order, spec);
  order.finish_step();
  return order.take();
}

Schedule order_step_with_audit(const ModelSpec& model, const StepSpec& spec) {
  OrderWriter order(ScheduleKind::step_with_audit, model, spec, true);
  add_turns(order, spec);
  order.replay(spec.turns(), spec.ranks_in(0));
  order.finish_step();
  return order.take();
}

Schedule order_diagnose(const ModelSpec& model, const StepSpec& spec) {
  OrderWriter order(ScheduleKind::diagnose, model, spec);
  add_turns(order, spec);
  return order.take();
}

Schedule order_validate(const ModelSpec& model, const StepSpec& spec) {
  OrderWriter order(ScheduleKind::validate, model, spec);
  order.step_values(1);
  order.forward_embedding(0, spec.all_ranks());
  order.forward_blocks(spec.all_ranks());
  order.head(HeadOutput::loss, spec.all_ranks());
  order.all_reduce();
  return order.take();
}

Schedule order_sample(const ModelSpec& model, const StepSpec& spec) {
  OrderWriter order(ScheduleKind::sample, model, spec);
  order.step_values(1);
  order.forward_embedding(0, spec.all_ranks());
  order.forward_blocks(spec.all_ranks());
  order.head(HeadOutput::choice, spec.all_ranks());
  return order.take();
}

Schedule order_init(const ModelSpec& model, const StepSpec& spec) {
  OrderWriter order(ScheduleKind::init, model, spec);
  order.init(0);
  return order.take();
}

Schedule order_load(const ModelSpec& model, const StepSpec& spec, Bytes staging_bytes) {
  OrderWriter order(ScheduleKind::load, model, spec);
  order.init(staging_bytes);
  return order.take();
}

}  // namespace trireme
