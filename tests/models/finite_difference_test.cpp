// Gradients of whole models against central differences of their own loss, in f32: per tensor along the gradient and
// along a random direction, and apart for the rows of q, k, v, gate and up, which one tensor holds together.

#include <catch2/catch.hpp>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "models/describe.h"
#include "tests/support/local_run.h"
#include "tests/support/random_cases.h"

using namespace trireme;
using namespace trireme::test;

namespace {

using Vector = std::vector<float>;

/// A run of elements of one tensor of the model.
struct Part {
  std::string name;
  std::size_t unit = 0;
  Elems begin = 0, elems = 0;  // of the unit's flat buffer
  bool is_zero = false;        // its gradient is, whatever the data
};

// The loss and every unit's gradient of the first step.
struct Evaluation {
  double loss = 0;
  std::map<std::int32_t, Vector> gradients;  // by unit: the accumulator before the norm
};

class Probe {
 public:
  explicit Probe(const TrainerSettings& settings, BatchSource edit_batch)
      : settings_(settings), edit_batch_(std::move(edit_batch)), model_(describe(settings.model, {})) {
    for (std::size_t u = 0; u < model_.units.size(); ++u) add_parts(u);
    at_ = evaluate({}, {});
  }

  const std::vector<Part>& parts() const { return parts_; }

  Vector gradient(const Part& part) const {
    const Vector& all = at_.gradients.at(static_cast<std::int32_t>(part.unit));
    return {all.begin() + part.begin, all.begin() + part.begin + part.elems};
  }

  /// Of the loss along `direction`: differences over h and 2 h, so that third-order terms cancel.
  double slope(const Part& part, const Vector& direction, double h) const {
    return (4 * difference(part, direction, h) - difference(part, direction, 2 * h)) / 3;
  }

 private:
  void add_parts(std::size_t u);
  void sharpen(std::int32_t unit, const View& master) const;
  Evaluation evaluate(const Part& part, const Vector& shift) const;
  double difference(const Part& part, const Vector& direction, double h) const {
    Vector plus = direction, minus = direction;
    for (float& x : plus) x *= static_cast<float>(h);
    for (float& x : minus) x *= static_cast<float>(-h);
    return (evaluate(part, plus).loss - evaluate(part, minus).loss) / (2 * h);
  }

  const TrainerSettings settings_;
  const BatchSource edit_batch_;
  const ModelSpec model_;
  std::vector<Part> parts_;
  Evaluation at_;
};

void Probe::add_parts(std::size_t u) {
  const ModelConfig& config = settings_.model;
  const FlatLayout layout(model_.units[u], 1);
  for (int t = 0; t < static_cast<int>(model_.units[u].tensors.size()); ++t) {
    const TensorSpec& tensor = model_.units[u].tensors[static_cast<std::size_t>(t)];
    const Elems begin = layout.tensor(t).begin;
    parts_.push_back({tensor.name, u, begin, tensor.elems()});
    std::vector<std::pair<const char*, Elems>> rows;
    const Elems d = config.head_size();
    const bool is_bias = tensor.rows == 1;
    if (tensor.name.find("qkv") != std::string::npos)
      rows = {{" q", config.heads * d}, {" k", config.kv_heads * d}, {" v", config.kv_heads * d}};
    if (tensor.name.find("gate_up") != std::string::npos) rows = {{" gate", config.ffn}, {" up", config.ffn}};
    Elems first = begin;
    for (const auto& [name, count] : rows) {
      const Elems elems = is_bias ? count : count * tensor.cols;
      // A bias of k that is not rotated adds the same to all scores of a query: softmax takes it away.
      parts_.push_back(
          {tensor.name + name, u, first, elems, is_bias && name[1] == 'k' && config.family == Family::gpt2});
      first += elems;
    }
  }
}

// Scores of fresh weights are near zero, and attention an average that hardly depends on q and k: larger weights give
// scores of about 2.
void Probe::sharpen(std::int32_t unit, const View& master) const {
  for (const Part& part : parts_)
    if (part.unit == static_cast<std::size_t>(unit) &&
        (part.name.ends_with("qkv.weight q") || part.name.ends_with("qkv.weight k")))
      for (Elems i = part.begin; i < part.begin + part.elems; ++i) master.as<float>()[i] *= 6;
}

// `shift` is added to the values of `part`.
Evaluation Probe::evaluate(const Part& part, const Vector& shift) const {
  Evaluation evaluation;
  const auto edit = [&](OpTable& table, int) {
    const Handler init = table.find(OpKind::init), square_sum = table.find(OpKind::square_sum);
    table.set(OpKind::init, [&, init](const OpContext& context) {
      init(context);
      if (!context.op().unit) return;
      const View master = context.view(Slot::master);
      sharpen(*context.op().unit, master);
      if (*context.op().unit != static_cast<std::int32_t>(part.unit)) return;
      for (std::size_t i = 0; i < shift.size(); ++i)
        master.as<float>()[static_cast<std::size_t>(part.begin) + i] += shift[i];
    });
    table.set(OpKind::square_sum, [&, square_sum](const OpContext& context) {
      const View sum = context.view(Slot::accumulator);
      evaluation.gradients[*context.op().unit].assign(sum.as<float>(), sum.as<float>() + sum.elems());
      square_sum(context);
    });
  };
  evaluation.loss = train_locally(settings_, {.edit_table = edit, .edit_batch = edit_batch_}, 1).steps[0].loss;
  return evaluation;
}

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

// Of length 1.
Vector scaled(Vector direction) {
  const double length = std::sqrt(dot(direction, direction));
  for (float& x : direction) x = static_cast<float>(x / length);
  return direction;
}

Vector random_direction(std::size_t elems, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Vector direction(elems);
  for (float& x : direction) x = normal(random);
  return scaled(std::move(direction));
}

// What f32 makes of a loss: about 5 roundings in the value of a token, each up to half of 2^-23.
constexpr double loss_rounding = 5.0 / (1 << 24);

// Differences of losses carry 2 roundings over 2 h and over 4 h, 4/3 and 1/3 of them. Steps are short enough that what
// is left of the difference, of fifth order, is below a part in 500 of a `usual` slope.
void check_slope(const Probe& probe, const Part& part, const Vector& direction, double h, double usual) {
  const double margin = usual / 500 + 1.5 * loss_rounding / h;
  CHECK(probe.slope(part, direction, h) == Approx(dot(probe.gradient(part), direction)).margin(margin).epsilon(0));
}

// 48 sums of 68 terms below 0.01 leave nothing but rounding, 68 * 2^-24 * 0.01 each; and the loss agrees.
void check_zero(const Probe& probe, const Part& part) {
  const Vector gradient = probe.gradient(part);
  CHECK(std::sqrt(dot(gradient, gradient)) < 1e-6);
  check_slope(probe, part, random_direction(gradient.size(), 0), 0.05, 0);
}

TrainerSettings one_layer(Family family, bool tied) {
  TrainerSettings settings = tiny_settings(family, DType::f32, DType::f32);
  settings.model.layers = 1;
  settings.model.tied = tied;
  settings.global_batch = 2 * settings.micro_batch;
  return settings;
}

TrainerSettings biased_and_scaled() {
  TrainerSettings settings = one_layer(Family::llama, false);
  settings.model.qkv_bias = true;
  settings.model.rope_scaling = tiny_rope_scaling;
  return settings;
}

// `step`: wider layers have larger scores, and their losses bend more: shorter steps.
void check_all(const TrainerSettings& settings, const BatchSource& edit_batch = {}, double step = 1) {
  const Probe probe(settings, edit_batch);
  std::uint32_t seed = 0;
  for (const Part& part : probe.parts()) {
    CAPTURE(name(settings.model.family), settings.model.tied, settings.model.qkv_bias, part.name);
    if (part.is_zero) {
      check_zero(probe, part);
      continue;
    }
    const Vector gradient = probe.gradient(part);
    const double norm = std::sqrt(dot(gradient, gradient));
    REQUIRE(norm > 0);
    // Along the gradient itself the slope is its norm.
    if (!is_sanitized) check_slope(probe, part, scaled(gradient), step * std::min(0.01 / norm, 0.1), norm);
    // Along a random direction of n elements it is about norm / sqrt(n), and an element that is wrong cannot hide.
    const double root = std::sqrt(static_cast<double>(part.elems));
    check_slope(probe, part, random_direction(gradient.size(), ++seed),
                step * std::min(0.002 * root / norm, 0.01 * root), norm / root);
  }
}

}  // namespace

TEST_CASE("the gradient of every tensor, and of every part of one, is that of the loss") {
  const Family family = GENERATE(Family::gpt2, Family::llama);
  const bool tied = GENERATE(true, false);
  check_all(one_layer(family, tied));
}

TEST_CASE("the gradient of every tensor is that of the loss where targets are ignored") {
  check_all(one_layer(GENERATE(Family::gpt2, Family::llama), true), ignore_some_targets);
}

TEST_CASE("the gradient of every tensor is that of the loss where sequences hold documents") {
  const TrainerSettings settings = one_layer(GENERATE(Family::gpt2, Family::llama), true);
  check_all(settings, cut_into_documents(settings.sequence));
}

TEST_CASE("the gradient of every tensor is that of the loss at odd sizes, with documents and ignored targets") {
  TrainerSettings settings = odd_settings(GENERATE(Family::gpt2, Family::llama), DType::f32, DType::f32);
  settings.model.layers = 1;
  settings.model.qkv_bias = settings.model.family == Family::llama;
  settings.global_batch = 2 * settings.micro_batch;
  check_all(
      settings,
      [&](std::int64_t step, int microbatch, Batch batch) {
        cut_into_documents(settings.sequence)(step, microbatch, batch);
        ignore_some_targets(step, microbatch, batch);
      },
      0.5);
}

TEST_CASE(
    "the gradient of every tensor is that of the loss with norms of heads, and with heads of a size of their own") {
  check_all(one_layer(GENERATE(Family::qwen3, Family::mistral), GENERATE(true, false)));
}

TEST_CASE("the gradient of every tensor is that of the loss with norms of heads at odd sizes and in documents") {
  TrainerSettings settings = odd_settings(Family::qwen3, DType::f32, DType::f32);
  settings.model.layers = 1;
  settings.global_batch = 2 * settings.micro_batch;
  check_all(settings, cut_into_documents(settings.sequence), 0.5);
}

TEST_CASE("the gradient of every tensor is that of the loss with a qkv bias and scaled RoPE") {
  check_all(biased_and_scaled());
}
