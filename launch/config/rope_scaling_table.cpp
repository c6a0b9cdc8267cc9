#include "launch/config/rope_scaling_table.h"

#include <fmt/format.h>

#include <cmath>
#include <initializer_list>
#include <utility>

#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr const char* example =
    "{ rope_type = \"llama3\", factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, "
    "original_max_position_embeddings = 8192 }";

using Fields = std::initializer_list<std::pair<const char*, double*>>;

void check_names(const toml::table& table, const Fields& fields, const std::string& where) {
  for (const auto& [key, value] : table) {
    bool known = key.str() == "rope_type";
    for (const auto& [name, field] : fields) known = known || key.str() == name;
    require(known, ErrorKind::config, "{}: unknown key {}; write {}", where, key.str(), example);
  }
}

double read_number(const toml::table& table, const char* name, const std::string& where) {
  const toml::node* value = table.get(name);
  require(value, ErrorKind::config, "{}: {} is missing; write {}", where, name, example);
  const bool is_number = value->is_integer() || value->is_floating_point();
  const double number = is_number ? value->value_or(0.0) : 0.0;
  require(is_number && std::isfinite(number), ErrorKind::config, "{}: {} is no finite number; write {}", where, name,
          example);
  return number;
}

}  // namespace

RopeScaling read_rope_scaling(const toml::node& value, const std::string& where) {
  const toml::table* table = value.as_table();
  require(table, ErrorKind::config, "{}: expected a table, for example {}", where, example);
  RopeScaling scaling;
  if (table->empty()) return scaling;
  const Fields fields = {{"factor", &scaling.factor},
                         {"low_freq_factor", &scaling.low_freq_factor},
                         {"high_freq_factor", &scaling.high_freq_factor},
                         {"original_max_position_embeddings", &scaling.original_context}};
  check_names(*table, fields, where);
  const auto type = (*table)["rope_type"].value_exact<std::string>();
  require(type && *type == "llama3", ErrorKind::config,
          "{}: rope_type = {}; \"llama3\" is the one there is, or leave the whole key out", where,
          type ? "\"" + *type + "\"" : "no text");
  for (const auto& [name, field] : fields) *field = read_number(*table, name, where);
  require(scaling.original_context == std::floor(scaling.original_context), ErrorKind::config,
          "{}: original_max_position_embeddings = {}: it counts tokens; use a whole number", where,
          scaling.original_context);
  return scaling;
}

std::string print_rope_scaling(const RopeScaling& scaling) {
  if (scaling == RopeScaling()) return "{}";
  return fmt::format(
      "{{ rope_type = \"llama3\", factor = {}, low_freq_factor = {}, high_freq_factor = {}, "
      "original_max_position_embeddings = {} }}",
      scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_context);
}

}  // namespace trireme
