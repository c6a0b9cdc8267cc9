#include "models/model_config.h"

#include <cstdint>
#include <utility>

#include "runtime/base/error.h"

namespace trireme {

const char* name(Family family) {
  switch (family) {
    case Family::gpt2: return "gpt2";
    case Family::llama: return "llama";
  }
  return "llama";
}

namespace {

void check(bool holds, const std::string& message) {
  if (!holds) throw Error(ErrorKind::config, message);
}

void validate(const RopeScaling& s) {
  check(s.factor >= 1, fmt::format("model.rope_scaling: factor = {}: it must be at least 1, as it divides frequencies", s.factor));
  check(s.low_freq_factor > 0 && s.low_freq_factor < s.high_freq_factor,
        fmt::format("model.rope_scaling: low_freq_factor = {}, high_freq_factor = {}: the first must be above 0 and below the "
                    "second", s.low_freq_factor, s.high_freq_factor));
  check(s.original_context >= 1, fmt::format("model.rope_scaling: original_max_position_embeddings = {}: it must be at least 1",
                                             s.original_context));
}

}  // namespace

void validate(const ModelConfig& c) {
  const std::pair<const char*, int> sizes[] = {{"layers", c.layers}, {"width", c.width}, {"heads", c.heads},
                                               {"kv_heads", c.kv_heads}, {"ffn", c.ffn}, {"vocab", c.vocab},
                                               {"context", c.context}};
  for (const auto& [key, value] : sizes)
    check(value >= 1, fmt::format("model.{} = {}: it must be at least 1", key, value));
  check(c.width % c.heads == 0, fmt::format("model.width = {} is not divisible by model.heads = {}; take a width of {} "
                                            "or other heads", c.width, c.heads, (std::int64_t{c.width} / c.heads + 1) * c.heads));
  check(c.heads % c.kv_heads == 0, fmt::format("model.heads = {} is not divisible by model.kv_heads = {}; every key head "
                                               "serves equally many query heads", c.heads, c.kv_heads));
  check(c.norm_eps > 0, fmt::format("model.norm_eps = {}: it must be above 0", c.norm_eps));
  switch (c.family) {
    case Family::gpt2:
      check(c.heads == c.kv_heads, fmt::format("model.kv_heads = {}: GPT-2 has as many key heads as heads ({}); leave it "
                                               "out", c.kv_heads, c.heads));
      return;
    case Family::llama:
      check(c.width / c.heads % 2 == 0, fmt::format("model.width / model.heads = {}: RoPE needs an even head size",
                                                    c.width / c.heads));
      check(c.rope_theta >= 1, fmt::format("model.rope_theta = {}: it must be at least 1", c.rope_theta));
      validate(c.rope_scaling);
      return;
  }
}

}  // namespace trireme
