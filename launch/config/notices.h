#pragma once
// What a configuration says that its run will not do as it reads.

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/config.h"

namespace trireme {

/// A line each, with the keys and what to do: phases of the learning rate that no step reaches, validations and audits
/// that never come, groups of sums larger than a step, bf16 gradients of an f32 model, bytes in a vocabulary of more.
/// Empty for a configuration that runs as it reads. Nothing in them is wrong: what contradicts itself does not load.
std::vector<std::string> notices(const Config& config);

/// A line where token files hold bytes and the model has tokens of more: those of trireme tokenize given to a model
/// that has a tokenizer of its own. Empty for all else, and for text, of which notices() and data.tokenizer tell.
std::string byte_tokens_notice(const Config& config, std::int64_t largest_token);

}  // namespace trireme
