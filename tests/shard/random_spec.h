#pragma once
// Random models and rank layouts for property tests of the builder: any sizes, as long as they are allowed.

#include <random>

#include "shard/frozen_units.h"
#include "shard/step_spec.h"
#include "shard/unit.h"

namespace trireme::test {

class RandomSpec {
 public:
  explicit RandomSpec(std::uint32_t seed) : random_(seed) {}

  Elems between(Elems low, Elems high) { return std::uniform_int_distribution<Elems>(low, high)(random_); }
  bool coin() { return between(0, 1) == 1; }

  /// A model with up to `max_blocks` blocks of sizes that vary by orders of magnitude, some with frozen tensors.
  ModelSpec model(int max_blocks, bool may_freeze = true) {
    ModelSpec model;
    const Elems width = between(1, 12) * 16, tokens = between(1, 300);
    model.activation_elems = width * tokens;
    model.batch_elems = 4 * tokens;
    model.constants_bytes = coin() ? 0 : between(1, 5000);
    model.head_chain = coin();
    const Elems vocabulary = between(1, 40) * 128;
    UnitSpec embedding{.name = "embedding", .kind = UnitKind::embedding};
    embedding.tensors.push_back({.name = "token", .rows = vocabulary, .cols = width});
    if (coin()) embedding.tensors.push_back({.name = "position", .rows = between(1, 500), .cols = width});
    embedding.segments.push_back(
        {.kind = SegmentKind::embedding, .backward_workspace_bytes = between(0, 1) * between(1, 5000)});
    model.units.push_back(embedding);
    const Elems blocks = between(0, max_blocks), ffn = between(1, 5) * width;
    for (Elems b = 0; b < blocks; ++b) {
      UnitSpec block{.name = "block", .kind = UnitKind::block};
      block.tensors = {{.name = "gain", .cols = width},
                       {.name = "in", .rows = ffn, .cols = width},
                       {.name = "out", .rows = width, .cols = ffn}};
      for (const SegmentKind kind : {SegmentKind::attention, SegmentKind::mlp})
        block.segments.push_back({.kind = kind,
                                  .saved_bytes = 4 * width * tokens * (kind == SegmentKind::attention ? 3 : 5) + 64,
                                  .forward_workspace_bytes = 3000 + width * 64,
                                  .backward_workspace_bytes = 5000 + width * tokens * 6});
      model.units.push_back(block);
    }
    UnitSpec head{.name = "head", .kind = UnitKind::head, .tensors = {{.name = "norm", .cols = width}}};
    head.segments = {{.kind = SegmentKind::loss,
                      .forward_workspace_bytes = tokens * vocabulary,
                      .backward_workspace_bytes = tokens * vocabulary * 2},
                     {.kind = SegmentKind::choose, .forward_workspace_bytes = vocabulary * 2}};
    if (coin())
      head.tied = TiedTensor{0, 0};
    else
      head.tensors.push_back({.name = "vocabulary", .rows = vocabulary, .cols = width});
    model.units.push_back(head);
    if (may_freeze && between(0, 2) == 0) freeze(model);
    return split_frozen(std::move(model));
  }

  /// One node, nodes of equal size, or any ranks together.
  NodeLayout nodes(int ranks) {
    NodeLayout layout;
    layout.ranks_per_node = static_cast<int>(between(0, 3));
    if (coin())
      for (int rank = 0; rank < ranks; ++rank) layout.node_of.push_back(static_cast<int>(between(0, ranks - 1)));
    return layout;
  }

  StepSpec step(int max_ranks, int max_microbatches) {
    StepSpec spec;
    spec.mesh.data = static_cast<int>(between(1, max_ranks));
    spec.rank = static_cast<int>(between(0, spec.mesh.data - 1));
    spec.microbatches = static_cast<int>(between(1, max_microbatches));
    spec.sum_group = coin() ? 1 : static_cast<int>(between(2, 5));
    spec.audit = between(0, 3) == 0;
    spec.zero = static_cast<int>(between(0, 3));
    const int node_ranks = static_cast<int>(between(1, 4));
    if (coin() && spec.mesh.data % node_ranks == 0) spec.zero = 3, spec.node_ranks = node_ranks;
    spec.prefetch = static_cast<int>(between(0, 4));
    spec.recompute = static_cast<Recompute>(between(0, 3));
    spec.nodes = nodes(spec.mesh.data);
    spec.compute = coin() ? DType::bf16 : DType::f32;
    spec.wire = coin() ? DType::bf16 : DType::f32;
    return spec;
  }

 private:
  // Each tensor with the chance of its unit, but never all.
  void freeze(ModelSpec& model) {
    for (UnitSpec& unit : model.units) {
      const Elems chance = between(0, 4);
      for (TensorSpec& tensor : unit.tensors) tensor.trainable = between(0, 3) >= chance;
    }
    UnitSpec& lucky = model.units[static_cast<std::size_t>(between(0, static_cast<Elems>(model.units.size()) - 1))];
    lucky.tensors.front().trainable = true;
  }

  std::mt19937 random_;
};

}  // namespace trireme::test
