#pragma once
// RoPE as config.json says it, in any of three places and seven kinds of scaling.

#include <string>
#include <vector>

#include "models/hf/keys.h"
#include "models/model_config.h"

namespace trireme::hf {

/// Something that acts on longer sequences alone, and that we do not compute.
struct SequenceLimit {
  int tokens = 0;    // the longest sequence on which it does nothing
  std::string what;  // key and value
};

/// Sets rope_theta and rope_scaling of a model whose sizes are known. A scaling that leaves every frequency as it is,
/// as transformers computes it, is none; one that does so up to a length adds to `limits`.
///
/// Errors  Error(config) by its key: a scaling that acts and is not llama3's; a rotation of a part of the head; places
///         that contradict each other.
/// Source  transformers 5.24, modeling_rope_utils.py.
void read_rope(const Keys& keys, ModelConfig& model, std::vector<SequenceLimit>& limits);

}  // namespace trireme::hf
