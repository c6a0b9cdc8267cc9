#include "models/model.h"

#include "models/gpt/gpt.h"
#include "models/llama/llama.h"

namespace trireme {

View UnitTensors::operator[](int tensor) const {
  const auto t = static_cast<std::size_t>(tensor);
  const TensorSpec& spec = unit->tensors[t];
  const View& buffer = unit->holds(spec) ? flat : frozen;
  if (buffer.empty()) return {};
  const View part = buffer.cols_from((unit->holds(spec) ? layout : frozen_layout)->tensor_begin[t], spec.elems());
  return {part.data, part.type, spec.rows, spec.cols};
}

std::unique_ptr<Model> make_model(const ModelConfig& config, int sequence, ProductOrder products) {
  switch (config.family) {
    case Family::gpt2: return std::make_unique<gpt::Gpt>(config, sequence, products);
    case Family::llama: return std::make_unique<llama::Llama>(config, sequence, products);
  }
  return nullptr;
}

}  // namespace trireme
