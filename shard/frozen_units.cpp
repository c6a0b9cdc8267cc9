#include "shard/frozen_units.h"

#include <algorithm>
#include <utility>

namespace trireme {

ModelSpec split_frozen(ModelSpec model) {
  const std::size_t units = model.units.size();
  for (std::size_t u = 0; u < units; ++u) {
    UnitSpec& unit = model.units[u];
    if (std::all_of(unit.tensors.begin(), unit.tensors.end(), [](const TensorSpec& t) { return t.trainable; }))
      continue;
    unit.frozen = static_cast<int>(model.units.size());
    UnitSpec frozen{.name = unit.name + ".frozen", .kind = UnitKind::frozen, .tensors = unit.tensors, .segments = {}};
    model.units.push_back(std::move(frozen));
  }
  return model;
}

std::size_t described_unit(std::span<const UnitSpec> units, std::size_t u) {
  const auto owns = [&](const UnitSpec& unit) { return unit.frozen == static_cast<int>(u); };
  const auto owner = std::find_if(units.begin(), units.end(), owns);
  return owner == units.end() ? u : static_cast<std::size_t>(owner - units.begin());
}

}  // namespace trireme
