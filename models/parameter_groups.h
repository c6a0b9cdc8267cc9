#pragma once
// Groups of parameters by the pattern of their names: learning-rate factor, decay, frozen.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shard/unit.h"

namespace trireme {

/// What is different for tensors whose name matches. `*` stands for any characters, `?` for one.
struct ParameterGroup {
  std::string pattern;
  double lr_factor = 1;
  std::optional<bool> decay;  // absent: as the model says
  bool frozen = false;

  friend bool operator==(const ParameterGroup&, const ParameterGroup&) = default;
};

bool matches(std::string_view pattern, std::string_view name);

/// Marks every tensor by the first group that its name matches.
///
/// Errors  Error(config) for a group that matches nothing, or whose tensors all belong to earlier groups, with names
/// that
///         there are; and where nothing is left to train.
void apply_groups(const std::vector<ParameterGroup>& groups, ModelSpec& model);

}  // namespace trireme
