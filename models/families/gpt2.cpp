// GPT-2: learned positions, LayerNorm, biases everywhere, GELU.

#include "models/families/checks.h"
#include "models/families/family.h"
#include "models/hf/gpt2_folder.h"
#include "models/segments/attention.h"
#include "models/segments/gelu_mlp.h"

namespace trireme {
namespace {

Segments segments(const ModelConfig& config) {
  const Norm norm(NormKind::layer, config.norm_eps);
  return {.embedding = EmbeddingSegment(true),
          .block = {std::make_shared<AttentionSegment>(AttentionForm{.norm = norm, .qkv_bias = true, .out_bias = true}),
                    std::make_shared<GeluMlpSegment>(norm)},
          .head = HeadSegment(norm, config.tied)};
}

void check(const ModelConfig& c) {
  check_plain_heads(c);
  require(c.heads == c.kv_heads, ErrorKind::config,
          "model.kv_heads = {}: GPT-2 has as many key heads as heads ({}); leave it out", c.kv_heads, c.heads);
}

}  // namespace

constinit const FamilyRules gpt2_rules{segments, check, hf::gpt2_format};

}  // namespace trireme
