#pragma once
// train.groups in a configuration: a list of tables, [[train.groups]] or in one line.

#include <toml++/toml.h>

#include <string>
#include <vector>

#include "models/parameter_groups.h"

namespace trireme {

/// Reads tables { pattern = "*.norm.*", lr_factor = 0.1, decay = false, frozen = true }; only the pattern is a must.
///
/// Errors  Error(config) that starts with `where`: no list of tables, no pattern, an unknown key, a wrong type, a
/// factor
///         below 0, a table that changes nothing, one that is frozen and has a factor or decay.
std::vector<ParameterGroup> read_groups(const toml::node& value, const std::string& where);

/// The list as TOML, in one line; reading it gives the same.
std::string print_groups(const std::vector<ParameterGroup>& groups);

/// A text as TOML writes it.
std::string quoted(const std::string& text);

}  // namespace trireme
