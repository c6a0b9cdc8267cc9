#include "models/model.h"

#include "models/gpt/gpt.h"
#include "models/llama/llama.h"

namespace trireme {

View UnitTensors::operator[](int tensor) const {
  const TensorSpec& spec = unit->tensors[static_cast<std::size_t>(tensor)];
  const View part = flat.cols_from(layout->tensor_begin[static_cast<std::size_t>(tensor)], spec.elems());
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
