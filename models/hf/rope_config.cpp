#include "models/hf/rope_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace trireme::hf {
namespace {

/// What one of the places says.
struct Rope {
  double theta = 10000;
  RopeScaling scaling;
  std::optional<SequenceLimit> limit;

  bool same_function(const Rope& other) const { return theta == other.theta && scaling == other.scaling; }
};

/// What the model says beside a table of RoPE.
struct Surroundings {
  const Keys& keys;  // of the whole config.json
  int head_dim, context;
};

/// A table with rope_type, factor and the like: rope_scaling (transformers 4) or rope_parameters (5).
class Table {
 public:
  Table(const Json& object, const std::string& place, const Surroundings& around)
      : object_(object), keys_(object, place), around_(around) {}

  Rope read(double theta) const;

 private:
  std::string type() const;
  void read_scaling(const std::string& type, Rope& rope) const;
  void check_whole_head() const;
  void check_linear(const char* type) const;
  void check_yarn(double theta) const;
  std::optional<SequenceLimit> read_longrope() const;
  RopeScaling read_llama3() const;

  // A key beside the table counts more than one in it.
  int original_context() const {
    const char* const key = "original_max_position_embeddings";
    return around_.keys.find(key) ? around_.keys.integer(key, 0) : keys_.integer(key, around_.context);
  }
  // null is a ratio of contexts; missing it is no scaling of these kinds.
  double factor_or_ratio() const {
    return keys_.find("factor") ? keys_.number("factor", 1) : static_cast<double>(around_.context) / original_context();
  }
  bool all_ones(const char* key) const;

  const Json& object_;
  Keys keys_;
  const Surroundings& around_;
};

std::string Table::type() const {
  keys_.no_null({keys_.has("rope_type") ? "rope_type" : "type"});
  const std::string type = keys_.text("rope_type", keys_.text("type", "default"));
  if (type != keys_.text("type", type)) keys_.refuse("type", *keys_.find("type"), "rope_type says another");
  return type;
}

Rope Table::read(double theta) const {
  for (const auto& [key, value] : object_.items())
    if (value.is_object()) keys_.refuse(key.c_str(), value, "all layers have the same RoPE here");
  keys_.no_null({"rope_theta"});
  Rope rope{.theta = keys_.number("rope_theta", theta)};
  // Plain RoPE of these families turns the whole head, whatever partial_rotary_factor says.
  if (const std::string kind = type(); kind != "default") read_scaling(kind, rope);
  return rope;
}

void Table::read_scaling(const std::string& type, Rope& rope) const {
  check_whole_head();
  if (type == "yarn" || type == "longrope" || type == "llama3") keys_.no_null({"original_max_position_embeddings"});
  if (type == "linear")
    keys_.required_number("factor"), check_linear("linear");
  else if (type == "proportional")
    check_linear("proportional");
  else if (type == "dynamic")
    keys_.required_number("factor");  // it acts beyond max_position_embeddings alone
  else if (type == "yarn")
    check_yarn(rope.theta);
  else if (type == "longrope")
    rope.limit = read_longrope();
  else if (type == "llama3")
    rope.scaling = read_llama3();
  else
    keys_.refuse("rope_type", type, "default and llama3 are computed here, and others where they do nothing");
}

void Table::check_whole_head() const {
  keys_.only({{"partial_rotary_factor", 1.0}});
  around_.keys.only({{"partial_rotary_factor", 1.0}});
}

void Table::check_linear(const char* type) const {
  if (keys_.number("factor", 1) != 1)
    keys_.refuse("factor", *keys_.find("factor"),
                 fmt::format("rope_type {} is computed here with factor 1 alone", type));
}

double yarn_scale(double factor, double scale) { return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1; }

// Frequencies that turn often enough within the original context stay as they are: all of them, where that is long.
bool yarn_keeps_all(const Keys& keys, int head_dim, double theta, double original_context) {
  const auto dimension = [&](double turns) {
    return head_dim * std::log(original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  // 0 is the default, too.
  const double fast = keys.number("beta_fast", 0), slow = keys.number("beta_slow", 0);
  double low = dimension(fast != 0 ? fast : 32), high = dimension(slow != 0 ? slow : 1);
  if (keys.flag("truncate", !keys.has("truncate")))  // null is false
    low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min<double>(high, head_dim - 1);
  return high >= low && low >= head_dim / 2 - 1;
}

void Table::check_yarn(double theta) const {
  if (!keys_.has("factor")) keys_.refuse("factor is missing", "give it");
  const double factor = factor_or_ratio();
  const double scale = keys_.number("mscale", 0), scale_all = keys_.number("mscale_all_dim", 0);
  const double inferred =
      scale != 0 && scale_all != 0 ? yarn_scale(factor, scale) / yarn_scale(factor, scale_all) : yarn_scale(factor, 1);
  const double attention = keys_.number("attention_factor", inferred);
  if (attention != 1)
    keys_.refuse(
        fmt::format("rope_type = \"yarn\" with attention_factor = {} (given, or of factor = {})", attention, factor),
        "yarn is computed here where it does nothing, with factor 1");
  if (factor != 1 && !yarn_keeps_all(keys_, around_.head_dim, theta, original_context()))
    keys_.refuse(fmt::format("rope_type = \"yarn\" with factor = {}", factor),
                 "yarn is computed here where it does nothing, with factor 1");
}

bool Table::all_ones(const char* key) const {
  const Json* list = keys_.find(key);
  if (!list) keys_.refuse(fmt::format("{} is missing", key), "give it");
  const auto count = static_cast<int>(list->is_array() ? list->size() : 0);
  if (count != 1 && count != around_.head_dim / 2)
    keys_.refuse(key, *list, fmt::format("expected {} numbers, one for each pair of a head", around_.head_dim / 2));
  return std::all_of(list->begin(), list->end(), [](const Json& number) { return number == 1; });
}

std::optional<SequenceLimit> Table::read_longrope() const {
  const bool keeps_short = all_ones("short_factor"), keeps_long = all_ones("long_factor");
  const double original = original_context(), factor = factor_or_ratio();
  const double inferred = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original));
  const double attention = keys_.number("attention_factor", inferred);
  if (attention != 1)
    keys_.refuse(fmt::format("rope_type = \"longrope\" with attention_factor = {} (given, or of factor = {})",
                             attention, factor),
                 "longrope is computed here where it does nothing, with attention_factor 1");
  if (!keeps_short)
    keys_.refuse("short_factor", *keys_.find("short_factor"),
                 "longrope is computed here with a short_factor of 1 alone");
  if (keeps_long) return std::nullopt;
  return SequenceLimit{original_context(), fmt::format("original_max_position_embeddings = {} of longrope", original)};
}

RopeScaling Table::read_llama3() const {
  const RopeScaling scaling{.factor = keys_.required_number("factor"),
                            .low_freq_factor = keys_.required_number("low_freq_factor"),
                            .high_freq_factor = keys_.required_number("high_freq_factor"),
                            .original_context = static_cast<double>(original_context())};
  return scaling.factor == 1 ? RopeScaling() : scaling;
}

// An empty table says nothing.
const Json* find_table(const Keys& keys, const char* key) {
  const Json* table = keys.find(key);
  if (table && !table->is_object()) keys.refuse(key, *table, "expected an object");
  return table && !table->empty() ? table : nullptr;
}

Rope read_table(const Surroundings& around, const char* key, double theta) {
  const Json* table = find_table(around.keys, key);
  if (!table) return {.theta = theta};
  const std::string place = around.keys.where() + ": " + key;
  return Table(*table, place, around).read(theta);
}

}  // namespace

void read_rope(const Keys& keys, ModelConfig& model, std::vector<SequenceLimit>& limits) {
  const Surroundings around{keys, model.head_size(), model.context};
  keys.no_null({"rope_theta"});
  const double theta = keys.number("rope_theta", Rope().theta);
  Rope rope = read_table(around, "rope_scaling", theta);
  if (find_table(keys, "rope_parameters")) {
    const Rope other = read_table(around, "rope_parameters", theta);
    const bool contradicts = (find_table(keys, "rope_scaling") && !other.same_function(rope)) ||
                             (keys.find("rope_theta") && other.theta != theta);
    if (contradicts)
      keys.refuse("rope_parameters", *keys.find("rope_parameters"),
                  "rope_theta or rope_scaling say something else: remove those");
    if (other.limit) limits.push_back(*other.limit);
    rope.theta = other.theta, rope.scaling = other.scaling;
  }
  if (rope.limit) limits.push_back(*rope.limit);
  // PyTorch rounds it, too: the base of a power of 32-bit floats is one.
  model.rope_theta = static_cast<float>(rope.theta);
  if (!std::isfinite(model.rope_theta))
    keys.refuse(fmt::format("rope_theta = {}", rope.theta), "it must fit a 32-bit float");
  model.rope_scaling = rope.scaling;
}

}  // namespace trireme::hf
