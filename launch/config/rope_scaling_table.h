#pragma once
// model.rope_scaling in a configuration: a table with Hugging Face's names.

#include <toml++/toml.h>

#include <string>

#include "runtime/kernels/rope.h"

namespace trireme {

/// Reads { rope_type = "llama3", factor, low_freq_factor, high_freq_factor, original_max_position_embeddings }, all of
/// them. An empty table, or a factor of 1, is no scaling. Ranges are validate()'s matter.
///
/// Errors  Error(config) that starts with `where`: no table, an unknown or missing key, another rope_type, no number.
RopeScaling read_rope_scaling(const toml::node& value, const std::string& where);

/// The table as TOML, in one line; reading it gives the same.
std::string print_rope_scaling(const RopeScaling& scaling);

}  // namespace trireme
