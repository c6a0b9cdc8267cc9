#include "models/parameter_groups.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace trireme {
namespace {

std::vector<TensorSpec*> tensors_of(ModelSpec& model) {
  std::vector<TensorSpec*> list;
  for (UnitSpec& unit : model.units)
    for (TensorSpec& tensor : unit.tensors) list.push_back(&tensor);
  return list;
}

void mark(TensorSpec& tensor, const ParameterGroup& group) {
  tensor.lr_factor = group.lr_factor;
  tensor.decay = group.decay.value_or(tensor.decay);
  tensor.trainable = !group.frozen;
}

// The names of the first block stand for all blocks.
std::string names(const std::vector<TensorSpec*>& tensors) {
  std::string text;
  for (const TensorSpec* tensor : tensors)
    if (!matches("blocks.*", tensor->name) || matches("blocks.0.*", tensor->name))
      text += (text.empty() ? "" : ", ") + tensor->name;
  return text;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  // Back to the last star, which takes one character more, wherever the rest does not fit.
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

void apply_groups(const std::vector<ParameterGroup>& groups, ModelSpec& model) {
  const std::vector<TensorSpec*> tensors = tensors_of(model);
  std::vector<bool> is_in_a_group(tensors.size());
  for (const ParameterGroup& group : groups) {
    int found = 0, taken = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      if (!matches(group.pattern, tensors[t]->name)) continue;
      ++found;
      if (is_in_a_group[t]) continue;
      is_in_a_group[t] = true;
      ++taken;
      mark(*tensors[t], group);
    }
    require(found > 0, ErrorKind::config,
            "train.groups: no tensor is named like '{}'; there are {} (and the other blocks')", group.pattern,
            names(tensors));
    require(taken > 0, ErrorKind::config,
            "train.groups: all {} tensors named like '{}' are in groups above it; the first "
            "group counts",
            found, group.pattern);
  }
  require(std::any_of(tensors.begin(), tensors.end(), [](const TensorSpec* t) { return t->trainable; }),
          ErrorKind::config, "train.groups: all tensors are frozen; leave some to train");
}

}  // namespace trireme
