#include "launch/config/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>
#include <type_traits>

#include "launch/config/config_keys.h"
#include "launch/config/config_limits.h"
#include "launch/config/parameter_group_list.h"
#include "launch/config/rope_scaling_table.h"
#include "launch/config/settings.h"
#include "launch/data/token_file.h"
#include "models/hf/model_folder.h"
#include "runtime/base/error.h"
#include "runtime/kernels/cpu/isa.h"

namespace trireme {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(ErrorKind::config, where + ": " + message);
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

std::string shown(const toml::node& value) {
  std::ostringstream text;
  value.visit([&](const auto& v) { text << v; });
  return text.str();
}

/// Puts a TOML value into the field of a key, with all checks that concern this key alone.
class Setter {
 public:
  Setter(const ConfigKey& key, const toml::node& value, std::string where)
      : key_(key), value_(value), where_(std::move(where)) {}

  void operator()(int* field) const {
    const auto number = value_.value_exact<std::int64_t>();
    if (!number) wrong("a whole number");
    check_lowest(static_cast<double>(*number));
    if (*number > 2147483647) refuse(where_, fmt::format("{} = {}: it must be below 2^31", key_.full_name(), *number));
    *field = static_cast<int>(*number);
  }
  void operator()(double* field) const { *field = number(); }
  void operator()(float* field) const {
    const double value = number();
    *field = static_cast<float>(value);
    if (!std::isfinite(*field))
      refuse(where_, fmt::format("{} = {}: it must fit a 32-bit float", key_.full_name(), value));
  }
  void operator()(bool* field) const {
    const auto flag = value_.value_exact<bool>();
    if (!flag) wrong("true or false");
    *field = *flag;
  }
  void operator()(std::string* field) const {
    // A size of so many bytes, or a folder named by a year, needs no quotes.
    auto text = value_.value_exact<std::string>();
    if (value_.is_integer() && key_.choices.empty()) text = shown(value_);
    if (!text) wrong("a text in quotes");
    if (!key_.choices.empty() && std::find(key_.choices.begin(), key_.choices.end(), *text) == key_.choices.end())
      refuse(where_, fmt::format("{} = '{}'; use {}", key_.full_name(), *text, joined(key_.choices, ", ")));
    *field = *text;
  }
  void operator()(std::vector<std::string>* field) const {
    const toml::array* list = value_.as_array();
    if (!list) wrong("a list of files, for example [\"a.txt\"]");
    field->clear();
    for (const toml::node& item : *list) {
      const auto text = item.value_exact<std::string>();
      if (!text) wrong("a list of files, for example [\"a.txt\"]");
      field->push_back(*text);
    }
  }
  void operator()(Family* field) const {
    const auto text = value_.value_exact<std::string>();
    const std::optional<Family> family = text ? find_family(*text) : std::nullopt;
    if (!family) refuse(where_, fmt::format("model.family = {}; use {}", shown(value_), family_names(" or ")));
    *field = *family;
  }
  void operator()(std::vector<ParameterGroup>* field) const {
    *field = read_groups(value_, where_ + ": " + key_.full_name());
  }
  void operator()(RopeScaling* field) const { *field = read_rope_scaling(value_, where_ + ": " + key_.full_name()); }

 private:
  double number() const {
    const auto number = value_.value<double>();
    if (!number || !(value_.is_integer() || value_.is_floating_point())) wrong("a number");
    if (!std::isfinite(*number)) refuse(where_, fmt::format("{} = {}: it must be finite", key_.full_name(), *number));
    check_lowest(*number);
    return *number;
  }
  void check_lowest(double number) const {
    if (number < key_.lowest)
      refuse(where_, fmt::format("{} = {}: it must be at least {}", key_.full_name(), number, key_.lowest));
  }
  [[noreturn]] void wrong(const char* expected) const {
    refuse(where_, fmt::format("{} = {}: expected {}", key_.full_name(), shown(value_), expected));
  }

  const ConfigKey& key_;
  const toml::node& value_;
  std::string where_;
};

void set(Config& config, std::string_view section, std::string_view name, const toml::node& value,
         const std::string& where) {
  const ConfigKey* key = find_key(section, name);
  if (!key) {
    const std::string full = fmt::format("{}.{}", section, name);
    if (const std::string_view capability = later_capability(section, name); !capability.empty())
      refuse(where, fmt::format("{}: {} is not part of this version; leave the key out", full, capability));
    refuse(where, fmt::format("unknown key {}; did you mean {}?", full, nearest_key(full).full_name()));
  }
  std::visit(Setter(*key, value, where), key->field(config));
}

// A path that cannot even be looked at (too long, not allowed) is told like one that is not there.
void require_file(const std::string& path) {
  const std::string shown_path = path.size() <= 200 ? path : path.substr(0, 200) + "...";
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (failed && status.type() != std::filesystem::file_type::not_found)
    throw Error(ErrorKind::config,
                fmt::format("{}: {}; give the path of a run's TOML file", shown_path, failed.message()));
  if (status.type() == std::filesystem::file_type::not_found)
    throw Error(ErrorKind::config, fmt::format("{}: no such file; give the path of a run's TOML file", shown_path));
  if (status.type() != std::filesystem::file_type::regular)
    throw Error(ErrorKind::config,
                fmt::format("{}: {}; give the path of a run's TOML file", shown_path,
                            status.type() == std::filesystem::file_type::directory ? "is a folder" : "is no file"));
}

void read_section(Config& config, const std::string& path, std::string_view section, const toml::node& body) {
  const std::string where = fmt::format("{}:{}", path, body.source().begin.line);
  if (body.is_array_of_tables())
    refuse(where, fmt::format("[[{}]] is a list of sections; write [{}]", section, section));
  const toml::table* keys = body.as_table();
  if (!keys)
    refuse(where,
           fmt::format("key {} stands outside a section; sections are {}", section, joined(section_names(), ", ")));
  const std::vector<std::string> known = section_names();
  const bool is_known = std::find(known.begin(), known.end(), section) != known.end();
  if (!is_known && later_capability(section, "").empty())
    refuse(where, fmt::format("unknown section [{}]; sections are {}", section, joined(known, ", ")));
  for (const auto& [key, value] : *keys)
    set(config, section, key.str(), value, fmt::format("{}:{}", path, key.source().begin.line));
}

void read_file(Config& config, const std::string& path) {
  require_file(path);
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    refuse(fmt::format("{}:{}", path, error.source().begin.line), std::string(error.description()));
  }
  for (const auto& [section, body] : file) read_section(config, path, section.str(), body);
}

template <typename T>
bool is_a(Config& config, const ConfigKey* key) {
  return key && std::holds_alternative<T*>(key->field(config));
}

void apply_override(Config& config, const std::string& text) {
  const std::size_t equals = std::min(text.find('='), text.size()), dot = text.find('.');
  const auto require_form = [&](bool holds) {
    require(holds, ErrorKind::config, "'{}': write an override as --section.key=value", text);
  };
  require_form(text.rfind("--", 0) == 0 && dot < equals);
  if (text.find_first_of("\n\r") != std::string::npos)
    throw Error(ErrorKind::config, fmt::format("--{}: an override is one line", text.substr(2, equals - 2)));
  const std::string section = text.substr(2, dot - 2), name = text.substr(dot + 1, equals - dot - 1);
  const ConfigKey* key = find_key(section, name);
  const bool has_value = equals < text.size();
  require_form(has_value || is_a<bool>(config, key) || !key);
  const std::string value = has_value ? text.substr(equals + 1) : "true";
  toml::table parsed;
  try {
    parsed = toml::parse("value = " + value);
  } catch (const toml::parse_error&) {
  }
  // A bare word is a text (--model.family=gpt2 needs no quotes), and where a text belongs whatever is not quoted is
  // one.
  if (parsed.empty() || (is_a<std::string>(config, key) && !parsed.get("value")->is_string()))
    parsed.insert_or_assign("value", value);
  set(config, section, name, *parsed.get("value"), text);
}

std::string print_value(const ConfigField& field) {
  return std::visit(
      [](const auto* value) -> std::string {
        using T = std::remove_cv_t<std::remove_pointer_t<decltype(value)>>;
        if constexpr (std::is_same_v<T, std::string>)
          return quoted(*value);
        else if constexpr (std::is_same_v<T, Family>)
          return quoted(name(*value));
        else if constexpr (std::is_same_v<T, RopeScaling>)
          return print_rope_scaling(*value);
        else if constexpr (std::is_same_v<T, std::vector<ParameterGroup>>)
          return print_groups(*value);
        else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          std::vector<std::string> items;
          for (const std::string& item : *value) items.push_back(quoted(item));
          return "[" + joined(items, ", ") + "]";
        } else
          return fmt::format("{}", *value);
      },
      field);
}

// The model section from its folder. Keys that are given as well must say the same: they are set once more, on top of
// it.
void take_model_folder(Config& config, const std::string& path, const std::vector<std::string>& overrides) {
  Config folder = config;
  const hf::FolderConfig found_model = hf::read_model(config.model_folder);
  check_sequence(found_model, config.train.sequence, config.model_folder + "/config.json");
  folder.model = found_model.model;
  Config again = folder;
  read_file(again, path);
  for (const std::string& text : overrides) apply_override(again, text);
  again.model.family = family_of(again.model);
  for (const ConfigKey& key : config_keys()) {
    if (std::string_view(key.section) != "model") continue;
    const std::string found = print_value(key.field(folder)), given = print_value(key.field(again));
    if (found != given)
      refuse(
          fmt::format("{} = {}", key.full_name(), given),
          fmt::format("the folder model.hf = '{}' has {}; leave {} out", config.model_folder, found, key.full_name()));
  }
  config.model = folder.model;
}

void resolve(Config& config) {
  ModelConfig& model = config.model;
  model.family = family_of(model);
  if (model.family == Family::qwen2) model.qkv_bias = true;
  if (model.kv_heads == 0) model.kv_heads = model.heads;
  if (model.head_dim == 0 && model.heads > 0 && model.width % model.heads == 0) model.head_dim = model.head_size();
  if (model.ffn == 0) {
    const std::int64_t ffn =
        model.family == Family::gpt2 ? 4LL * model.width : align_up(ceil_div(8LL * model.width, 3), 64);
    model.ffn =
        static_cast<int>(std::min<std::int64_t>(ffn, std::numeric_limits<int>::max()));  // then refused as too large
  }
  if (model.context == 0) model.context = config.train.sequence;
  if (config.train.min_lr < 0) config.train.min_lr = config.train.lr / 10;
  if (config.data.tokenizer.empty()) config.data.tokenizer = config.model_folder.empty() ? "byte" : "none";
  // By what the CPU has, not by a forced instruction set, which must not change a bit.
  PrecisionConfig& precision = config.precision;
  if (precision.products == "auto")
    precision.products = precision.compute == "bf16" && cpu::detect_isa() == cpu::Isa::amx ? "tiles" : "chain";
}

// A model's token ids are those of its own tokenizer; the bytes of a text are others.
void check_text(const Config& config) {
  const std::string text = first_text_file(config.data);
  if (text.empty()) return;
  require(config.data.tokenizer != "none", ErrorKind::config,
          "{}: text, and data.tokenizer = 'none'{}; tokenize it beforehand into a .bin token file, or give "
          "data.tokenizer = \"byte\" to take each of its bytes as a token",
          text, config.model_folder.empty() ? "" : " (as model.hf is given, whose vocabulary is not of bytes)");
  require(config.model.vocab >= 256, ErrorKind::config,
          "model.vocab = {}: text files are read as bytes, which needs at least 256", config.model.vocab);
}

void check_together(const Config& config) {
  const auto check = [](bool holds, const std::string& message) {
    if (!holds) throw Error(ErrorKind::config, message);
  };
  const TrainConfig& t = config.train;
  check_limits(config);
  validate(config.model);
  check(t.global_batch % t.micro_batch == 0,
        fmt::format("train.global_batch = {} is not divisible by train.micro_batch = {}; both count sequences",
                    t.global_batch, t.micro_batch));
  check(t.sequence <= config.model.context,
        fmt::format("train.sequence = {} is longer than model.context = {}", t.sequence, config.model.context));
  check_text(config);
  const DataConfig& data = config.data;
  check(!data.documents || data.end_of_document >= 0,
        "data.documents = true needs data.end_of_document: the id of the token that ends a document");
  check(data.end_of_document < config.model.vocab,
        fmt::format("data.end_of_document = {} is outside model.vocab = {}", data.end_of_document, config.model.vocab));
  check(t.valid_every == 0 || !config.data.valid.empty(),
        fmt::format("train.valid_every = {} without data.valid; name validation files or set it to 0", t.valid_every));
  check(t.beta1 < 1 && t.beta2 < 1,
        fmt::format("train.beta1 = {}, train.beta2 = {}: both must be below 1", t.beta1, t.beta2));
  check(t.eps > 0,
        fmt::format("train.eps = {}: it must be above 0, or a weight without a gradient would be divided by 0", t.eps));
  check(config.parallel.zero <= 3, fmt::format("parallel.zero = {}: ZeRO has stages 0 to 3", config.parallel.zero));
  check(
      !config.parallel.node_shard || config.parallel.zero == 3,
      fmt::format(
          "parallel.node_shard with parallel.zero = {}: only stage 3 gathers parameters for each use; use zero = 3 or "
          "leave node_shard out",
          config.parallel.zero));
  validate(lr_schedule(config));
  check(config.precision.products != "tiles" || config.precision.compute == "bf16",
        fmt::format(
            "precision.products = 'tiles' is an order of bf16 products and precision.compute = '{}'; use 'chain', or "
            "compute = 'bf16'",
            config.precision.compute));
  if (config.memory.device != "auto") parse_bytes(config.memory.device);
}

// A value that differs from the default and that nothing reads is a mistake of whoever wrote it.
void check_used(const Config& config) {
  const Config defaults;
  const auto check = [](bool same, const char* key, const char* why) {
    if (!same) throw Error(ErrorKind::config, fmt::format("{}: does nothing {}; leave it out", key, why));
  };
  const TrainConfig &t = config.train, &d = defaults.train;
  check(t.schedule == "wsd" || t.decay_steps == d.decay_steps, "train.decay_steps", "unless train.schedule = \"wsd\"");
  check(t.schedule != "constant" || t.min_lr == t.lr / 10, "train.min_lr", "with train.schedule = \"constant\"");
  check(config.data.documents || config.data.end_of_document == defaults.data.end_of_document, "data.end_of_document",
        "unless data.documents = true");
  check(!config.model_folder.empty() || config.dropout == defaults.dropout, "model.dropout", "without model.hf");
  const ModelConfig &m = config.model, &n = defaults.model;
  const bool is_gpt2 = m.family == Family::gpt2;
  const char* const learned = "with model.family = \"gpt2\", which has learned positions";
  check(!is_gpt2 || m.rope_theta == n.rope_theta, "model.rope_theta", learned);
  check(!is_gpt2 || m.rope_scaling == n.rope_scaling, "model.rope_scaling", learned);
  check(!is_gpt2 || m.qkv_bias == n.qkv_bias, "model.qkv_bias", "with model.family = \"gpt2\", which always has it");
  check(is_gpt2 || m.family == Family::qwen2 || !m.qkv_bias, "model.qkv_bias", "with a model.family that has none");
}

}  // namespace

Config load_config(const std::string& path, const std::vector<std::string>& overrides) {
  Config config;
  read_file(config, path);
  for (const std::string& text : overrides) apply_override(config, text);
  if (!config.model_folder.empty()) take_model_folder(config, path, overrides);
  resolve(config);
  check_together(config);
  check_used(config);
  return config;
}

std::string print_config(const Config& config) {
  Config copy = config;
  std::string text, section;
  for (const ConfigKey& key : config_keys()) {
    if (section != key.section) text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section = key.section);
    text += fmt::format("{} = {}\n", key.name, print_value(key.field(copy)));
  }
  return text;
}

std::string first_text_file(const DataConfig& data) {
  for (const std::vector<std::string>* files : {&data.train, &data.valid})
    for (const std::string& file : *files)
      if (!names_token_file(file)) return file;
  return {};
}

std::string agreed_text(const Config& config) {
  Config copy = config;
  std::string text;
  for (const ConfigKey& key : config_keys())
    if (key.agreed) text += fmt::format("{} = {}\n", key.full_name(), print_value(key.field(copy)));
  return text;
}

}  // namespace trireme
