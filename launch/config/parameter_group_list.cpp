#include "launch/config/parameter_group_list.h"

#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "runtime/base/error.h"

namespace trireme {
namespace {

constexpr const char* example =
    "[{ pattern = \"*.norm.*\", lr_factor = 0.1, decay = false }, { pattern = \"embedding.*\", frozen = true }]";

template <typename T>
T read(const toml::node& value, const char* expected, const std::string& where) {
  const auto found = value.value_exact<T>();
  require(found.has_value(), ErrorKind::config, "{}: expected {}", where, expected);
  return *found;
}

double read_factor(const toml::node& value, const std::string& where) {
  const bool is_number = value.is_integer() || value.is_floating_point();
  const double factor = is_number ? value.value_or(-1.0) : -1.0;
  require(is_number && std::isfinite(factor) && factor >= 0, ErrorKind::config, "{}: expected a number of at least 0",
          where);
  return factor;
}

void read_field(ParameterGroup& group, std::string_view name, const toml::node& value, const std::string& where) {
  if (name == "pattern")
    group.pattern = read<std::string>(value, "a text in quotes", where);
  else if (name == "lr_factor")
    group.lr_factor = read_factor(value, where);
  else if (name == "decay")
    group.decay = read<bool>(value, "true or false", where);
  else if (name == "frozen")
    group.frozen = read<bool>(value, "true or false", where);
  else
    throw Error(ErrorKind::config,
                fmt::format("{}: unknown key; a group has pattern, lr_factor, decay, frozen", where));
}

ParameterGroup read_group(const toml::table& table, const std::string& where) {
  ParameterGroup group;
  for (const auto& [key, value] : table) read_field(group, key.str(), value, fmt::format("{}.{}", where, key.str()));
  require(!group.pattern.empty(), ErrorKind::config, "{}: pattern is missing; write {}", where, example);
  const bool changes_rate = group.lr_factor != 1 || group.decay.has_value();
  require(!(group.frozen && changes_rate), ErrorKind::config,
          "{}: what is frozen has neither lr_factor nor decay; leave them out", where);
  require(group.frozen || changes_rate, ErrorKind::config,
          "{}: the group '{}' changes nothing; give lr_factor, decay or frozen", where, group.pattern);
  return group;
}

}  // namespace

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

std::vector<ParameterGroup> read_groups(const toml::node& value, const std::string& where) {
  const toml::array* list = value.as_array();
  require(list != nullptr, ErrorKind::config, "{}: expected a list of tables, for example {}", where, example);
  std::vector<ParameterGroup> groups;
  for (const toml::node& item : *list) {
    const std::string own = fmt::format("{} number {}", where, groups.size() + 1);
    require(item.is_table(), ErrorKind::config, "{}: expected a table; write {}", own, example);
    groups.push_back(read_group(*item.as_table(), own));
  }
  return groups;
}

std::string print_groups(const std::vector<ParameterGroup>& groups) {
  std::string text;
  for (const ParameterGroup& group : groups) {
    text += fmt::format("{}{{ pattern = {}", text.empty() ? "" : ", ", quoted(group.pattern));
    if (group.lr_factor != 1) text += fmt::format(", lr_factor = {}", group.lr_factor);
    if (group.decay) text += fmt::format(", decay = {}", *group.decay);
    if (group.frozen) text += ", frozen = true";
    text += " }";
  }
  return "[" + text + "]";
}

}  // namespace trireme
