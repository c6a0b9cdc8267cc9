// Gradients of whole models against central differences of their own loss, tensor by tensor, in f32.

#include <catch2/catch.hpp>

#include <cmath>
#include <map>

#include "models/describe.h"
#include "tests/launch/local_run.h"

using namespace trireme;
using namespace trireme::test;

namespace {

/// A tensor of the model by its place.
struct Place {
  std::size_t unit;
  int tensor;
};

using Vector = std::vector<float>;

// The loss and every unit's gradient of the first step, with `shift` added to one tensor's first values.
struct Evaluation {
  double loss = 0;
  std::map<std::int32_t, Vector> gradients;  // by unit: the accumulator before the norm
};

Evaluation evaluate(const TrainerSettings& settings, const Place& place, const Vector& shift) {
  Evaluation evaluation;
  const auto edit = [&](OpTable& table, int) {
    const Handler init = table.find(OpKind::init), square_sum = table.find(OpKind::square_sum);
    table.set(OpKind::init, [&, init](const OpContext& context) {
      init(context);
      if (context.op().unit != static_cast<std::int32_t>(place.unit)) return;
      const ModelSpec model = describe(settings.model, {});
      const FlatLayout layout(model.units[place.unit], 1);
      const View master = context.view(context.op().writes[0]).cols_from(layout.tensor(place.tensor).begin, static_cast<Elems>(shift.size()));
      for (std::size_t i = 0; i < shift.size(); ++i) master.as<float>()[i] += shift[i];
    });
    table.set(OpKind::square_sum, [&, square_sum](const OpContext& context) {
      const View sum = context.view(context.op().reads[0]);
      evaluation.gradients[*context.op().unit].assign(sum.as<float>(), sum.as<float>() + sum.elems());
      square_sum(context);
    });
  };
  evaluation.loss = train_locally(settings, {.edit_table = edit}, 1).steps[0].loss;
  return evaluation;
}

double along(const TrainerSettings& settings, const Place& place, const Vector& direction, float h) {
  Vector plus = direction, minus = direction;
  for (float& x : plus) x *= h;
  for (float& x : minus) x *= -h;
  return (evaluate(settings, place, plus).loss - evaluate(settings, place, minus).loss) / (2.0 * h);
}

}  // namespace

TEST_CASE("the gradient of every tensor of a model is that of its loss") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const bool tied = GENERATE(true, false);
  CAPTURE(family == Family::gpt2, tied);
  TrainerSettings settings = tiny_settings(family, DType::f32, DType::f32);
  settings.model.layers = 1;
  settings.model.tied = tied;
  settings.global_batch = 2 * settings.micro_batch;
  const ModelSpec model = describe(settings.model, {});
  const Evaluation at = evaluate(settings, {0, 0}, {});
  for (std::size_t u = 0; u < model.units.size(); ++u)
    for (int t = 0; t < static_cast<int>(model.units[u].tensors.size()); ++t) {
      CAPTURE(model.units[u].tensors[static_cast<std::size_t>(t)].name);
      const FlatRange range = FlatLayout(model.units[u], 1).tensor(t);
      const Vector& all = at.gradients.at(static_cast<std::int32_t>(u));
      const Vector gradient(all.begin() + range.begin, all.begin() + range.begin + range.elems);
      double square = 0;
      for (float g : gradient) square += static_cast<double>(g) * g;
      const double norm = std::sqrt(square);
      REQUIRE(norm > 0);
      // Along the gradient itself the slope is its norm; a step of 0.02 in the loss stands far above f32 rounding
      // (about 5 * 2^-24 per token) and keeps the third-order term of the difference below a percent.
      Vector direction = gradient;
      for (float& x : direction) x = static_cast<float>(x / norm);
      const float h = static_cast<float>(0.02 / norm);
      CHECK(along(settings, {u, t}, direction, std::min(h, 0.1f)) == Approx(norm).epsilon(0.02));
    }
}
