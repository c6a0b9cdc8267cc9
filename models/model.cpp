#include "models/model.h"

namespace trireme {

Model::Model(const ModelConfig& config, int sequence, ProductOrder products)
    : config_(config), sequence_(sequence), products_(products), segments_(rules_of(config.family).segments(config)) {
  int first = 0;
  for (const auto& segment : segments_.block) {
    first_tensors_.push_back(first);
    first += static_cast<int>(segment->tensors("", shapes(sequence_)).size());
  }
}

void Model::forward(const EmbeddingForward& op) const {
  segments_.embedding.forward(op, shapes(op.batch.token_count()));
}

void Model::backward(const EmbeddingBackward& op) const {
  segments_.embedding.backward(op, shapes(op.batch.token_count()));
}

void Model::forward(int segment, const SegmentForward& op) const {
  const auto number = static_cast<std::size_t>(segment);
  SegmentForward own = op;
  own.parameters = op.parameters.from(first_tensors_[number]);
  segments_.block[number]->forward(own, shapes(op.batch.token_count()));
}

void Model::backward(int segment, const SegmentBackward& op) const {
  const auto number = static_cast<std::size_t>(segment);
  SegmentBackward own = op;
  own.parameters = op.parameters.from(first_tensors_[number]);
  own.gradients = op.gradients.from(first_tensors_[number]);
  segments_.block[number]->backward(own, shapes(op.batch.token_count()));
}

void Model::loss(const HeadLoss& op) const { segments_.head.loss(op, shapes(op.batch.token_count())); }

void Model::choose(const HeadChoose& op) const { segments_.head.choose(op, shapes(op.x.elems() / config_.width)); }

void Model::fill_constants(View constants) const {
  for (const auto& segment : segments_.block) segment->fill_constants(constants, shapes(sequence_));
}

std::unique_ptr<Model> make_model(const ModelConfig& config, int sequence, ProductOrder products) {
  return std::make_unique<Model>(config, sequence, products);
}

}  // namespace trireme
