#pragma once
// A model as units, for the builder: tensors, segments, bytes and flops. Pure description.

#include "models/model_config.h"
#include "runtime/kernels/product_order.h"
#include "shard/unit.h"

namespace trireme {

/// What sizes depend on besides the model.
struct MicrobatchShape {
  int sequences = 1;  // micro_batch
  int sequence = 1;   // tokens of each
  DType compute = DType::bf16;
  ProductOrder products = ProductOrder::chain;
  int threads = 1;  // workspace of kernels
};

/// Units: embedding, blocks, head. Equal arguments give equal descriptions.
ModelSpec describe(const ModelConfig& config, const MicrobatchShape& shape);

/// Parameters, without padding of the vocabulary; a tied tensor counts once.
Elems parameter_count(const ModelConfig& config);

/// Model flops of forward and backward of one token: attention at T^2/2, recompute not counted. `microbatch_tokens`: of
/// the microbatch that the model was described for.
double flops_per_token(const ModelSpec& model, Elems microbatch_tokens);

}  // namespace trireme
