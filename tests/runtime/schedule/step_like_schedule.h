#pragma once
// Schedules that use memory as a training step does, of any size; for tests of the plan.

#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "tests/runtime/schedule/schedule_builder.h"

namespace trireme::test {

struct StepShape {
  int layers = 4, rounds = 2, prefetch = 1;
  bool recompute = false;
  bool carry = true;  // the first gathers of a step stand at the end of the step before it
  std::vector<Bytes> parameter_bytes, saved_bytes, workspace_bytes;  // by layer
  Bytes stream_bytes = 4096;                                         // activations between layers
};

/// Sizes from tens of bytes to hundreds of kilobytes.
inline StepShape random_shape(std::uint32_t seed, int most_layers, int most_rounds) {
  std::mt19937 random(seed);
  const auto between = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  const auto size = [&] { return Bytes{between(64, 127)} << between(0, 12); };
  StepShape shape{.layers = between(1, most_layers),
                  .rounds = between(1, most_rounds),
                  .prefetch = between(0, 3),
                  .recompute = between(0, 1) == 1,
                  .carry = between(0, 3) > 0};
  const bool equal_layers = between(0, 2) > 0;
  for (int l = 0; l < shape.layers; ++l) {
    const bool again = equal_layers && l > 1;
    shape.parameter_bytes.push_back(again ? shape.parameter_bytes[1] : size());
    shape.saved_bytes.push_back(again ? shape.saved_bytes[1] : size());
    shape.workspace_bytes.push_back(again ? shape.workspace_bytes[1] : size());
  }
  shape.stream_bytes = size();
  return shape;
}

/// Forward and backward of every layer in every round on compute; gathers `prefetch` uses ahead, and ordered reduces,
/// on comm; two gradients alive at most; accumulators from the first reduce to the updates at the end.
class StepLike {
 public:
  explicit StepLike(const StepShape& shape) : shape_(shape), builder_(ScheduleKind::step) {
    for (int l = 0; l < shape.layers; ++l) {
      const Bytes bytes = shape.parameter_bytes[at(l)];
      shards_.push_back(builder_.add(numbered("shard", l), bytes / 4 + 1, Role::parameters, Lifetime::persistent));
      accumulators_.push_back(builder_.add(numbered("accumulator", l), bytes / 2 + 4, Role::gradients));
      accumulated_.push_back(false);
    }
    const int carried = shape.carry ? std::min(shape.prefetch + 1, shape.layers) : 0;
    for (int l = 0; l < carried; ++l)
      carried_.push_back(
          builder_.add(numbered("carried", l), shape.parameter_bytes[at(l)], Role::gathered, Lifetime::carried));
  }

  Schedule make() {
    for (int r = 0; r < shape_.rounds; ++r) uses_of_round(r);
    gathers_.resize(uses_.size());
    for (std::size_t use = 0; use < uses_.size(); ++use) run_use(use);
    for (int l = 0; l < shape_.layers; ++l)
      builder_.add(OpKind::update, StreamId::compute, {accumulators_[at(l)]}, {shards_[at(l)]});
    for (std::size_t l = 0; l < carried_.size(); ++l)
      builder_.add(OpKind::gather, StreamId::comm, {shards_[l]}, {carried_[l]});
    return std::move(builder_).finish();
  }

 private:
  struct Use {
    int round = 0, layer = 0;
    bool backward = false;
    OpId last_op = -1;
  };
  static std::size_t at(int layer) { return static_cast<std::size_t>(layer); }
  static std::string numbered(const char* name, std::size_t number) { return fmt::format("{}{}", name, number); }
  static std::string numbered(const char* name, int number) { return fmt::format("{}{}", name, number); }

  void uses_of_round(int round) {
    for (int l = 0; l < shape_.layers; ++l) uses_.push_back({round, l, false});
    for (int l = shape_.layers - 1; l >= 0; --l) uses_.push_back({round, l, true});
  }

  void gather(std::size_t use) {
    if (use >= uses_.size() || use < gathered_) return;
    gathered_ = use + 1;
    const auto l = at(uses_[use].layer);
    if (use < carried_.size()) {
      gathers_[use] = carried_[l];
      return;
    }
    gathers_[use] = builder_.add(numbered("full", use), shape_.parameter_bytes[l], Role::gathered);
    const auto behind = static_cast<std::ptrdiff_t>(use) - shape_.prefetch - 1;
    const OpId after = behind < 0 ? -1 : uses_[static_cast<std::size_t>(behind)].last_op;
    builder_.add(OpKind::gather, StreamId::comm, {shards_[l]}, {gathers_[use]}, {after});
  }

  void run_use(std::size_t number) {
    for (int k = 0; k <= shape_.prefetch; ++k) gather(number + static_cast<std::size_t>(k));
    Use& use = uses_[number];
    const BufferId full = gathers_[number];
    if (use.backward)
      backward(use, full, number);
    else
      forward(use, full, number);
  }

  void forward(Use& use, BufferId full, std::size_t number) {
    const auto l = at(use.layer);
    if (use.layer == 0)
      inputs_.assign(1, builder_.add(numbered("x", number), shape_.stream_bytes, Role::activations)), saved_.clear();
    const BufferId out = builder_.add(numbered("y", number), shape_.stream_bytes, Role::activations);
    const BufferId saved = builder_.add(numbered("saved", number), shape_.saved_bytes[l], Role::activations);
    const BufferId workspace = builder_.add(numbered("forward_workspace", number), shape_.workspace_bytes[l]);
    std::vector<BufferId> reads{full};
    if (use.layer > 0) reads.push_back(inputs_.back());
    std::vector<BufferId> writes{out, saved, workspace};
    if (use.layer == 0) writes.push_back(inputs_.back());
    use.last_op = builder_.add(OpKind::forward, StreamId::compute, reads, writes);
    inputs_.push_back(out);
    saved_.push_back(saved);
  }

  void backward(Use& use, BufferId full, std::size_t number) {
    const auto l = at(use.layer);
    BufferId saved = saved_[l];
    if (shape_.recompute) {
      saved = builder_.add(numbered("saved_again", number), shape_.saved_bytes[l], Role::activations);
      builder_.add(OpKind::recompute, StreamId::compute, {full, inputs_[l]}, {saved});
    }
    const BufferId gradient = builder_.add(numbered("gradient", number), shape_.parameter_bytes[l], Role::gradients);
    const BufferId out = builder_.add(numbered("dx", number), shape_.stream_bytes, Role::activations);
    const BufferId workspace = builder_.add(numbered("backward_workspace", number), 2 * shape_.workspace_bytes[l]);
    std::vector<BufferId> reads{full, saved, inputs_[l]};
    if (use.layer + 1 < shape_.layers) reads.push_back(upstream_);
    const OpId two_before = reduces_.size() < 2 ? -1 : reduces_[reduces_.size() - 2];
    use.last_op = builder_.add(OpKind::backward, StreamId::compute, reads, {gradient, out, workspace}, {two_before});
    upstream_ = out;
    std::vector<BufferId> summands{gradient};
    if (accumulated_[l]) summands.push_back(accumulators_[l]);
    accumulated_[l] = true;
    reduces_.push_back(builder_.add(OpKind::reduce, StreamId::comm, summands, {accumulators_[l]}));
  }

  const StepShape& shape_;
  ScheduleBuilder builder_;
  std::vector<BufferId> shards_, accumulators_, carried_, gathers_, inputs_, saved_;
  std::vector<bool> accumulated_;
  std::vector<Use> uses_;
  std::vector<OpId> reduces_;
  std::size_t gathered_ = 0;
  BufferId upstream_ = 0;
};

inline Schedule step_like(const StepShape& shape) { return StepLike(shape).make(); }

/// What runs before it: the gathers that it expects to be carried in.
inline Schedule enter_like(const StepShape& shape) {
  ScheduleBuilder builder(ScheduleKind::enter);
  const int carried = shape.carry ? std::min(shape.prefetch + 1, shape.layers) : 0;
  for (int l = 0; l < carried; ++l) {
    const Bytes bytes = shape.parameter_bytes[static_cast<std::size_t>(l)];
    const BufferId full = builder.add(fmt::format("carried{}", l), bytes, Role::gathered, Lifetime::carried);
    const BufferId shard =
        builder.add(fmt::format("shard{}", l), bytes / 4 + 1, Role::parameters, Lifetime::persistent);
    builder.add(OpKind::gather, StreamId::comm, {shard}, {full});
  }
  return std::move(builder).finish();
}

}  // namespace trireme::test
