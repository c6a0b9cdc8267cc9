#include "models/describe.h"

#include <utility>

#include "models/batch.h"
#include "models/families/family.h"
#include "models/shapes.h"

namespace trireme {
namespace {

std::vector<UnitSpec> units_of(const Segments& segments, const Shapes& s, const MicrobatchShape& shape) {
  std::vector<SegmentSpec> of_block;
  for (const auto& segment : segments.block) of_block.push_back(segment->describe(s, shape));
  std::vector<UnitSpec> units = {segments.embedding.describe(s)};
  for (Elems layer = 0; layer < s.L; ++layer) {
    UnitSpec unit{.name = "block" + std::to_string(layer), .kind = UnitKind::block, .segments = of_block};
    for (const auto& segment : segments.block)
      for (TensorSpec& tensor : segment->tensors("blocks." + std::to_string(layer) + ".", s))
        unit.tensors.push_back(std::move(tensor));
    units.push_back(std::move(unit));
  }
  units.push_back(segments.head.describe(s, shape));
  return units;
}

Bytes constants_of(const Segments& segments, const Shapes& s) {
  Bytes bytes = 0;
  for (const auto& segment : segments.block) bytes += segment->constants_bytes(s);
  return bytes;
}

}  // namespace

ModelSpec describe(const ModelConfig& config, const MicrobatchShape& shape) {
  const Shapes s = make_shapes(config, shape.sequences, shape.sequence, shape.products);
  const Segments segments = rules_of(config.family).segments(config);
  return {.units = units_of(segments, s, shape),
          .activation_elems = s.N * s.C,
          .batch_elems = Batch::fields * s.N,
          .constants_bytes = constants_of(segments, s),
          .head_chain = s.N > head_chunk_tokens};
}

Elems parameter_count(const ModelConfig& config) {
  Elems count = 0;
  for (const UnitSpec& unit : describe(config, {}).units)
    for (const TensorSpec& tensor : unit.tensors) count += (tensor.rows - tensor.init.padding_rows) * tensor.cols;
  return count;
}

double flops_per_token(const ModelSpec& model, Elems microbatch_tokens) {
  double flops = 0;
  for (const UnitSpec& unit : model.units)
    for (const SegmentSpec& segment : unit.segments) flops += segment.forward_flops + segment.backward_flops;
  return flops / static_cast<double>(microbatch_tokens);
}

}  // namespace trireme
