#include "models/families/checks.h"

namespace trireme {
namespace {

void check_scaling(const RopeScaling& s) {
  require(s.factor >= 1, ErrorKind::config,
          "model.rope_scaling: factor = {}: it must be at least 1, as it divides frequencies", s.factor);
  require(s.low_freq_factor > 0 && s.low_freq_factor < s.high_freq_factor, ErrorKind::config,
          "model.rope_scaling: low_freq_factor = {}, high_freq_factor = {}: the first must be above 0 and below the "
          "second",
          s.low_freq_factor, s.high_freq_factor);
  require(s.original_context >= 1, ErrorKind::config,
          "model.rope_scaling: original_max_position_embeddings = {}: it must be at least 1", s.original_context);
}

}  // namespace

void check_plain_heads(const ModelConfig& c) {
  require(c.head_dim == 0 || (c.width % c.heads == 0 && c.head_dim == c.width / c.heads), ErrorKind::config,
          "model.head_dim = {}: heads of {} have model.width / model.heads = {} / {} channels; leave it out, or use a "
          "family with a head size of its own",
          c.head_dim, name(c.family), c.width, c.heads);
}

void check_rope(const ModelConfig& c) {
  require(c.head_size() % 2 == 0, ErrorKind::config, "{} = {}: RoPE needs an even head size",
          c.head_dim > 0 ? "model.head_dim" : "model.width / model.heads", c.head_size());
  require(c.rope_theta >= 1, ErrorKind::config, "model.rope_theta = {}: it must be at least 1", c.rope_theta);
  check_scaling(c.rope_scaling);
}

}  // namespace trireme
