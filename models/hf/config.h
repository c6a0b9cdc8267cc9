#pragma once
// config.json of a model folder and our ModelConfig.

#include <optional>
#include <string>
#include <string_view>

#include "models/hf/storage.h"
#include "models/model_config.h"

namespace trireme::hf {

/// Reads the text of a config.json: model_type gpt2, llama or qwen2, as transformers 4 and 5 write them. A missing key
/// has transformers' default where it has one that makes sense; keys that do not change what a model computes are not
/// read.
///
/// Errors  Error(config) that starts with `where` and names the key, its value and what to do: no JSON, another model
/// or
///         architecture, a missing or mistyped key, sizes that do not fit together, and every setting that we do not
///         compute (dropout, another activation, sliding windows, other scalings of RoPE, biases, quantization, ...).
ModelConfig read_config(std::string_view text, const std::string& where);

/// The config.json of a model that did not come from one; read_config() gives the same model. `type`: of its tensors.
std::string write_config(const ModelConfig& model, Storage type);

/// `text`, the config.json that a model came from, with another type of tensors where one is given.
std::string rewrite_config(std::string_view text, std::optional<Storage> type);

}  // namespace trireme::hf
