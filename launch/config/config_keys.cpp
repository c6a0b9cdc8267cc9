#include "launch/config/config_keys.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace trireme {
namespace {

constexpr double positive = 1, not_negative = 0, no_token = -1;

#define FIELD(member) [](Config& c) -> ConfigField { return &c.member; }

const std::vector<ConfigKey> table = {
    // Not the path, which may differ between machines, but what lies there is agreed on.
    {"model", "hf", false, FIELD(model_folder)},
    {"model", "dropout", true, FIELD(dropout), 0, {"refuse", "ignore"}},
    {"model", "family", true, FIELD(model.family)},
    {"model", "layers", true, FIELD(model.layers), positive},
    {"model", "width", true, FIELD(model.width), positive},
    {"model", "heads", true, FIELD(model.heads), positive},
    {"model", "kv_heads", true, FIELD(model.kv_heads), positive},
    {"model", "head_dim", true, FIELD(model.head_dim), not_negative},
    {"model", "ffn", true, FIELD(model.ffn), positive},
    {"model", "vocab", true, FIELD(model.vocab), positive},
    {"model", "context", true, FIELD(model.context), positive},
    {"model", "tied", true, FIELD(model.tied)},
    {"model", "norm_eps", true, FIELD(model.norm_eps), not_negative},
    {"model", "rope_theta", true, FIELD(model.rope_theta), not_negative},
    {"model", "rope_scaling", true, FIELD(model.rope_scaling)},
    {"model", "qkv_bias", true, FIELD(model.qkv_bias)},
    {"data", "train", true, FIELD(data.train)},
    {"data", "valid", true, FIELD(data.valid)},
    {"data", "tokenizer", true, FIELD(data.tokenizer), 0, {"byte", "none"}},
    {"data", "order", true, FIELD(data.order), 0, {"shuffled", "sequential"}},
    {"data", "documents", true, FIELD(data.documents)},
    {"data", "end_of_document", true, FIELD(data.end_of_document), no_token},
    {"train", "steps", true, FIELD(train.steps), not_negative},
    {"train", "global_batch", true, FIELD(train.global_batch), positive},
    {"train", "micro_batch", true, FIELD(train.micro_batch), positive},
    {"train", "sequence", true, FIELD(train.sequence), positive},
    {"train", "lr", true, FIELD(train.lr), not_negative},
    {"train", "min_lr", true, FIELD(train.min_lr), not_negative},
    {"train", "warmup", true, FIELD(train.warmup), not_negative},
    {"train", "schedule", true, FIELD(train.schedule), 0, {"cosine", "linear", "constant", "wsd"}},
    {"train", "decay_steps", true, FIELD(train.decay_steps), not_negative},
    {"train", "beta1", true, FIELD(train.beta1), not_negative},
    {"train", "beta2", true, FIELD(train.beta2), not_negative},
    {"train", "eps", true, FIELD(train.eps), not_negative},
    {"train", "weight_decay", true, FIELD(train.weight_decay), not_negative},
    {"train", "clip", true, FIELD(train.clip), not_negative},
    {"train", "seed", true, FIELD(train.seed), not_negative},
    {"train", "sum_group", true, FIELD(train.sum_group), positive},
    // Not part of the trajectory, but every rank must take part in a validation and in an audit.
    {"train", "valid_every", true, FIELD(train.valid_every), not_negative},
    {"train", "audit", true, FIELD(train.audit), not_negative},
    {"train", "groups", true, FIELD(train.groups)},
    {"train", "bad_step", true, FIELD(train.bad_step), 0, {"stop", "skip"}},
    {"parallel", "zero", true, FIELD(parallel.zero), not_negative},
    {"parallel", "node_shard", true, FIELD(parallel.node_shard)},
    {"parallel", "ranks_per_node", true, FIELD(parallel.ranks_per_node), not_negative},
    {"parallel", "prefetch", true, FIELD(parallel.prefetch), not_negative},
    {"parallel", "deadline_s", true, FIELD(parallel.deadline_s), 0.001},
    {"memory", "device", false, FIELD(memory.device)},
    {"memory", "recompute", false, FIELD(memory.recompute), 0, {"none", "attention", "mlp", "block"}},
    {"memory", "share", false, FIELD(memory.share)},
    {"precision", "compute", true, FIELD(precision.compute), 0, {"bf16", "f32"}},
    {"precision", "wire", true, FIELD(precision.wire), 0, {"bf16", "f32"}},
    {"precision", "products", true, FIELD(precision.products), 0, {"chain", "tiles", "auto"}},
    {"device", "kind", true, FIELD(device.kind), 0, {"cpu"}},
    {"device", "threads", false, FIELD(device.threads), not_negative},
    {"log", "dir", false, FIELD(log.dir)},
    {"log", "existing", false, FIELD(log.existing), 0, {"refuse", "replace"}},
    {"log", "every", false, FIELD(log.every), positive},
    {"log", "profile", false, FIELD(log.profile)},
};

#undef FIELD

/// Keys of the design that this version has not.
constexpr std::pair<const char*, const char*> later[] = {
    {"data.cache", "cached tokenization"},          {"parallel.stages", "pipeline stages"},
    {"parallel.interleave", "pipeline stages"},     {"precision.moments", "other types of moments"},
    {"precision.master", "other types of masters"}, {"checkpoint", "checkpoints"},
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({change, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::span<const ConfigKey> config_keys() { return table; }

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const ConfigKey& key : table)
    if (names.empty() || names.back() != key.section) names.push_back(key.section);
  return names;
}

const ConfigKey* find_key(std::string_view section, std::string_view name) {
  for (const ConfigKey& key : table)
    if (section == key.section && name == key.name) return &key;
  return nullptr;
}

const ConfigKey& nearest_key(std::string_view full_name) {
  return *std::min_element(table.begin(), table.end(), [&](const ConfigKey& a, const ConfigKey& b) {
    return edit_distance(full_name, a.full_name()) < edit_distance(full_name, b.full_name());
  });
}

std::string_view later_capability(std::string_view section, std::string_view name) {
  const std::string full = std::string(section) + "." + std::string(name);
  for (const auto& [key, capability] : later)
    if (full == key || section == key) return capability;
  return {};
}

}  // namespace trireme
