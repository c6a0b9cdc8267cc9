#pragma once
// One table of all keys; parsing, overrides, printing, agreement and suggestions all go by it.

#include <span>
#include <variant>

#include "launch/config/config.h"

namespace trireme {

/// Where a key's value lies in a Config.
using ConfigField = std::variant<int*, double*, float*, bool*, std::string*, std::vector<std::string>*, Family*,
                                 RopeScaling*, std::vector<ParameterGroup>*>;

struct ConfigKey {
  const char* section;
  const char* name;
  bool agreed;  // ranks must have the same value
  ConfigField (*field)(Config&);
  double lowest = -1e300;            // of a number
  std::vector<std::string> choices;  // of a string; empty: any

  std::string full_name() const { return std::string(section) + "." + name; }
};

std::span<const ConfigKey> config_keys();
/// As they stand in the table.
std::vector<std::string> section_names();
/// Null where there is none.
const ConfigKey* find_key(std::string_view section, std::string_view name);
/// The known key that is spelled most alike.
const ConfigKey& nearest_key(std::string_view full_name);
/// Names of the design that later versions bring, with what they are for; empty for any other name.
std::string_view later_capability(std::string_view section, std::string_view name);

}  // namespace trireme
