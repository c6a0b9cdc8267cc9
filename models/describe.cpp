#include "models/describe.h"

#include "models/batch.h"
#include "models/gpt/units.h"
#include "models/llama/llama.h"
#include "models/llama/units.h"
#include "models/shapes.h"

namespace trireme {
namespace {

std::vector<UnitSpec> units_of(const ModelConfig& config, const MicrobatchShape& shape) {
  switch (config.family) {
    case Family::gpt2: return gpt::units(config, shape);
    case Family::llama: return llama::units(config, shape);
  }
  return {};
}

Bytes constants_of(const ModelConfig& config, const Shapes& s) {
  switch (config.family) {
    case Family::gpt2: return 0;
    case Family::llama: return llama::RotaryTables::bytes(s);
  }
  return 0;
}

}  // namespace

ModelSpec describe(const ModelConfig& config, const MicrobatchShape& shape) {
  const Shapes s = make_shapes(config, shape.sequences, shape.sequence, shape.products);
  return {.units = units_of(config, shape), .activation_elems = s.N * s.C, .batch_elems = Batch::fields * s.N,
          .constants_bytes = constants_of(config, s), .head_chain = s.N > head_chunk_tokens};
}

Elems parameter_count(const ModelConfig& config) {
  Elems count = 0;
  for (const UnitSpec& unit : units_of(config, {}))
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
