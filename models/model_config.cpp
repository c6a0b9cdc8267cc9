#include "models/model_config.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "models/families/family.h"
#include "runtime/base/error.h"

namespace trireme {

const char* name(Family family) {
  switch (family) {
    case Family::gpt2: return "gpt2";
    case Family::llama: return "llama";
    case Family::qwen2: return "qwen2";
    case Family::qwen3: return "qwen3";
    case Family::mistral: return "mistral";
  }
  return "llama";
}

std::optional<Family> find_family(std::string_view text) {
  const auto found = std::ranges::find(families, text, [](Family family) { return std::string_view(name(family)); });
  return found == std::end(families) ? std::nullopt : std::optional(*found);
}

std::string family_names(const char* before_last) {
  std::string text;
  for (const Family family : families) {
    if (!text.empty()) text += family == families[std::size(families) - 1] ? before_last : ", ";
    text += name(family);
  }
  return text;
}

Family family_of(const ModelConfig& config) {
  return config.family == Family::llama && config.qkv_bias ? Family::qwen2 : config.family;
}

void validate(const ModelConfig& c) {
  const std::pair<const char*, int> sizes[] = {{"layers", c.layers},     {"width", c.width}, {"heads", c.heads},
                                               {"kv_heads", c.kv_heads}, {"ffn", c.ffn},     {"vocab", c.vocab},
                                               {"context", c.context}};
  for (const auto& [key, value] : sizes)
    require(value >= 1, ErrorKind::config, "model.{} = {}: it must be at least 1", key, value);
  require(c.head_dim > 0 || c.width % c.heads == 0, ErrorKind::config,
          "model.width = {} is not divisible by model.heads = {}; take a width of {} or other heads", c.width, c.heads,
          (std::int64_t{c.width} / c.heads + 1) * c.heads);
  require(c.heads % c.kv_heads == 0, ErrorKind::config,
          "model.heads = {} is not divisible by model.kv_heads = {}; every key head serves equally many query heads",
          c.heads, c.kv_heads);
  // So that no product of sizes leaves its type.
  require(std::int64_t{c.heads} * c.head_size() <= std::max(c.width, 1 << 26), ErrorKind::config,
          "model.heads = {} with model.head_dim = {}: all heads together must have at most 67108864 channels", c.heads,
          c.head_size());
  require(c.norm_eps > 0, ErrorKind::config, "model.norm_eps = {}: it must be above 0", c.norm_eps);
  rules_of(c.family).check(c);
}

}  // namespace trireme
