#include "models/unit_tensors.h"

namespace trireme {

View UnitTensors::operator[](int tensor) const {
  if (tensor == no_tensor) return {};
  const auto t = static_cast<std::size_t>(first + tensor);
  const TensorSpec& spec = unit->tensors[t];
  const View& buffer = unit->holds(spec) ? flat : frozen;
  if (buffer.empty()) return {};
  const View part = buffer.cols_from((unit->holds(spec) ? layout : frozen_layout)->tensor_begin[t], spec.elems());
  return {part.data, part.type, spec.rows, spec.cols};
}

}  // namespace trireme
