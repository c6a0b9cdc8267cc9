#pragma once
// config.json of a model folder and our ModelConfig.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/hf/rope_config.h"
#include "models/hf/storage.h"
#include "models/model_config.h"

namespace trireme::hf {

/// What a config.json says.
struct FolderConfig {
  ModelConfig model;
  /// Every rate of dropout that is not 0, with its key, also where a missing key means 0.1; empty: there is none. It
  /// acts in training alone, and we have none there.
  std::string dropout;
  std::vector<SequenceLimit> limits;
  /// For errors: the sizes that were missing and what was taken for them, or nothing.
  std::string missing;
};

/// Reads the text of a config.json: model_type gpt2, llama or qwen2, as transformers 4 and 5 and Python's json write
/// them. Asks what transformers would compute, not how it is spelled (config_keys.md has every key): a missing key has
/// transformers' default, and keys that do not change what a model computes are not read.
///
/// Errors  Error(config) that starts with `where` and names the key, its value and what to do: no JSON, another type of
///         model, a mistyped key, sizes that do not fit together, and every setting that we do not compute (another
///         activation, other scalings of RoPE that act, biases, quantization, ...).
FolderConfig read_config(std::string_view text, const std::string& where);

/// Errors  Error(config) with key, `where` and what to do: sequences of `tokens` reach where something acts that we do
///         not compute (a sliding window, a scaling of RoPE).
void check_sequence(const FolderConfig& config, int tokens, const std::string& where);

/// The config.json of a model that did not come from one; read_config() gives the same model. `type`: of its tensors.
std::string write_config(const ModelConfig& model, Storage type);

/// `text`, the config.json that a model came from, with another type of tensors where one is given.
std::string rewrite_config(std::string_view text, std::optional<Storage> type);

}  // namespace trireme::hf
