#include "models/llama/units.h"

#include <algorithm>

#include "models/attention.h"
#include "models/head.h"
#include "models/linear.h"
#include "models/llama/saved.h"
#include "models/tensor_specs.h"
#include "runtime/kernels/embedding.h"

namespace trireme::llama {
namespace {

UnitSpec embedding(const Shapes& s) {
  return {.name = "embedding", .kind = UnitKind::embedding,
          .tensors = {vocabulary_matrix("embedding.token.weight", s)},
          .segments = {{.kind = SegmentKind::embedding, .backward_workspace_bytes = embedding_backward_workspace_bytes(s.N, s.Vp)}}};
}

SegmentSpec attention(const Shapes& s, const MicrobatchShape& shape) {
  const DType type = shape.compute;
  const Linear layer{s.products};
  const Bytes linear = std::max(layer.workspace_bytes(s.N, s.C, s.qkv(), type, shape.threads),
                                layer.workspace_bytes(s.N, s.C, s.C, type, shape.threads));
  const Bytes backward = std::max(linear, attention_backward_bytes(s, shape));
  const double flops = attention_flops(s);
  return {.kind = SegmentKind::attention, .saved_bytes = AttentionSaved({}, s, type).bytes,
          .forward_workspace_bytes = std::max(linear, attention_forward_bytes(s, shape)),
          .backward_workspace_bytes = AttentionScratch({}, s, type, backward).bytes, .forward_flops = flops,
          .backward_flops = 2 * flops};
}

SegmentSpec mlp(const Shapes& s, const MicrobatchShape& shape) {
  const DType type = shape.compute;
  const Linear layer{s.products};
  const Bytes linear = std::max(layer.workspace_bytes(s.N, s.C, 2 * s.F, type, shape.threads),
                                layer.workspace_bytes(s.N, s.F, s.C, type, shape.threads));
  const double flops = 2.0 * static_cast<double>(s.N) * static_cast<double>(s.C * 3 * s.F);
  return {.kind = SegmentKind::mlp, .saved_bytes = MlpSaved({}, s, type).bytes, .forward_workspace_bytes = linear,
          .backward_workspace_bytes = MlpScratch({}, s, type, linear).bytes, .forward_flops = flops,
          .backward_flops = 2 * flops};
}

UnitSpec block(Elems layer, const ModelConfig& config, const Shapes& s, const MicrobatchShape& shape) {
  const std::string p = "blocks." + std::to_string(layer) + ".";
  UnitSpec unit{.name = "block" + std::to_string(layer), .kind = UnitKind::block,
          .tensors = {vector(p + "attention.norm.weight", s.C, 1), matrix(p + "attention.qkv.weight", s.qkv(), s.C),
                      matrix(p + "attention.out.weight", s.C, s.C, out_deviation(s)),
                      vector(p + "mlp.norm.weight", s.C, 1), matrix(p + "mlp.gate_up.weight", 2 * s.F, s.C),
                      matrix(p + "mlp.down.weight", s.C, s.F, out_deviation(s))},
          .segments = {attention(s, shape), mlp(s, shape)}};
  if (config.qkv_bias) unit.tensors.insert(unit.tensors.begin() + 2, vector(p + "attention.qkv.bias", s.qkv(), 0));
  return unit;
}

UnitSpec head(const ModelConfig& config, const Shapes& s, const MicrobatchShape& shape) {
  UnitSpec unit{.name = "head", .kind = UnitKind::head, .tensors = {vector("head.norm.weight", s.C, 1)},
                .segments = head_segments(s, shape)};
  if (config.tied) unit.tied = TiedTensor{.unit = 0, .tensor = token_table};
  else unit.tensors.push_back(vocabulary_matrix("head.vocabulary.weight", s));
  return unit;
}

}  // namespace

std::vector<UnitSpec> units(const ModelConfig& config, const MicrobatchShape& shape) {
  const Shapes s = make_shapes(config, shape.sequences, shape.sequence, shape.products);
  std::vector<UnitSpec> list = {embedding(s)};
  for (Elems layer = 0; layer < s.L; ++layer) list.push_back(block(layer, config, s, shape));
  list.push_back(head(config, s, shape));
  return list;
}

}  // namespace trireme::llama
