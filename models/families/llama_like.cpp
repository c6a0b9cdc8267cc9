#include "models/families/llama_like.h"

#include "models/segments/swiglu_mlp.h"

namespace trireme {

AttentionForm llama_attention(const ModelConfig& config) {
  return {.norm = Norm(NormKind::rms, config.norm_eps),
          .rotary = Rotary{.theta = config.rope_theta, .scaling = config.rope_scaling}};
}

Segments llama_segments(const ModelConfig& config, const AttentionForm& attention) {
  return {.embedding = EmbeddingSegment(false),
          .block = {std::make_shared<AttentionSegment>(attention), std::make_shared<SwigluMlpSegment>(attention.norm)},
          .head = HeadSegment(attention.norm, config.tied)};
}

}  // namespace trireme
