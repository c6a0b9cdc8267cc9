#include "launch/config/config_limits.h"

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr double largest_elems =
    1LL << 56;  // of all parameters, or of all activations: 16 bytes of each fit in 62 bits
constexpr int largest_layers = 10'000, largest_size = 1 << 26, largest_threads = 1024;
constexpr std::int64_t largest_layer_rounds = 100'000;  // a step of so many is planned in half a minute

void check(bool holds, const std::string& message) {
  if (!holds) throw Error(ErrorKind::config, message);
}

void check_at_most(const char* key, std::int64_t value, std::int64_t limit) {
  check(value <= limit, fmt::format("{} = {}: it must be at most {}", key, value, limit));
}

}  // namespace

void check_limits(const Config& config) {
  const ModelConfig& m = config.model;
  const TrainConfig& t = config.train;
  check(
      m.layers <= largest_layers,
      fmt::format("model.layers = {}: it must be at most {}, as many as are planned in some seconds; use fewer, wider "
                  "layers",
                  m.layers, largest_layers));
  const std::pair<const char*, int> sizes[] = {{"model.width", m.width},       {"model.heads", m.heads},
                                               {"model.head_dim", m.head_dim}, {"model.ffn", m.ffn},
                                               {"model.vocab", m.vocab},       {"model.context", m.context},
                                               {"train.sequence", t.sequence}, {"train.micro_batch", t.micro_batch}};
  for (const auto& [key, value] : sizes) check_at_most(key, value, largest_size);
  check_at_most("device.threads", config.device.threads, largest_threads);
  const double width = m.width, layers = m.layers;
  const double mixed = std::max(width, static_cast<double>(m.heads) * m.head_size());
  const double parameters = layers * (4 * width * mixed + 3 * width * m.ffn) + width * (2.0 * m.vocab + m.context);
  check(parameters <= largest_elems,
        fmt::format("model.width = {}, model.ffn = {}, model.vocab = {}, model.layers = {}: {:.3g} "
                    "parameters are more than can be counted; use a smaller model",
                    m.width, m.ffn, m.vocab, m.layers, parameters));
  const double activations = layers * t.micro_batch * t.sequence * (8 * mixed + 4.0 * m.ffn + 1024);
  check(activations <= largest_elems,
        fmt::format("train.micro_batch = {}, train.sequence = {}: {:.3g} activations are more than "
                    "can be counted; use smaller ones",
                    t.micro_batch, t.sequence, activations));
  check(config.parallel.deadline_s <= 1e6,
        fmt::format("parallel.deadline_s = {}: it must be at most 1e6", config.parallel.deadline_s));
}

void check_plannable(const Config& config, int ranks) {
  const ParallelConfig& p = config.parallel;
  check(!p.node_shard || p.ranks_per_node == 0 || ranks % p.ranks_per_node == 0,
        fmt::format(
            "parallel.node_shard on {} ranks with parallel.ranks_per_node = {}: nodes must be equal; use a divisor of "
            "the number of ranks",
            ranks, p.ranks_per_node));
  const int microbatches = config.train.global_batch / config.train.micro_batch;
  const std::int64_t rounds = ceil_div(microbatches, ranks);
  check(
      rounds * config.model.layers <= largest_layer_rounds,
      fmt::format(
          "model.layers = {} x {} microbatches of a step on each of {} ranks (train.global_batch / train.micro_batch / "
          "ranks) are more than {}, which takes too long to plan: use larger micro_batch, smaller global_batch or more "
          "ranks",
          config.model.layers, rounds, ranks, largest_layer_rounds));
  // Where a group spans ranks, a round has a reduce for each of its groups.
  const int group = config.train.sum_group;
  const bool spans_ranks = group > 1 && ceil_div(microbatches, group) < ranks;
  const std::int64_t reduces = spans_ranks ? ceil_div(std::min(microbatches, ranks), group) : 1;
  check(rounds * config.model.layers * reduces <= largest_layer_rounds,
        fmt::format(
            "train.sum_group = {}: {} groups a round span ranks, and model.layers = {} x {} rounds x that many reduces "
            "are "
            "more than {}, which takes too long to plan: use a larger sum_group, or one that gives each rank whole "
            "groups",
            group, reduces, config.model.layers, rounds, largest_layer_rounds));
}

}  // namespace trireme
