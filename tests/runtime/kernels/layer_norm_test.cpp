#include "runtime/kernels/layer_norm.h"

#include "tests/reference/layer_norm.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

constexpr Elems token_counts[] = {1, 2, 7, 61};
constexpr Elems channel_counts[] = {1, 2, 7, 15, 16, 17, 33, 64, 90, 384, 769};

struct Norm {
  GuardedTensor x, gain, bias, out, mean, inv_std;

  Norm(DType type, Elems tokens, Elems channels)
      : x(type, tokens, channels, 3),
        gain(type, channels),
        bias(type, channels),
        out(type, tokens, channels, 5),
        mean(DType::f32, tokens),
        inv_std(DType::f32, tokens) {
    x.randomize(1, 2, 0.5), gain.randomize(2, 0.3, 1), bias.randomize(3, 0.3);
  }
  void forward() {
    layer_norm_forward(
        {.x = x, .gain = gain, .bias = bias, .out = out, .mean = mean, .inv_std = inv_std, .eps = 1e-5f});
  }
};

struct Gradients {
  GuardedTensor d_out, d_residual, d_x, d_gain, d_bias;

  Gradients(DType type, DType gradient_type, Elems tokens, Elems channels)
      : d_out(type, tokens, channels, 1),
        d_residual(type, tokens, channels, 2),
        d_x(type, tokens, channels, 4),
        d_gain(gradient_type, channels),
        d_bias(gradient_type, channels) {
    d_out.randomize(4), d_residual.randomize(5);
  }
  LayerNormBackward with(const Norm& k, bool residual) {
    return {.x = k.x,
            .gain = k.gain,
            .mean = k.mean,
            .inv_std = k.inv_std,
            .d_out = d_out,
            .d_residual = residual ? ConstView(d_residual) : ConstView(),
            .d_x = d_x,
            .d_gain = d_gain,
            .d_bias = d_bias};
  }
};

void check_forward(DType type, Elems tokens, Elems channels) {
  Norm k(type, tokens, channels);
  run_every_way({&k.out, &k.mean, &k.inv_std}, [&] { k.forward(); });
  const auto x = k.x.values();
  for (Elems n = 0; n < tokens; ++n) {
    const auto row = reference::layer_norm_forward(x.data() + n * channels, k.gain.values(), k.bias.values(), 1e-5f);
    reference::require_close({k.mean.at(n), k.inv_std.at(n)}, {row.mean, row.inv_std}, DType::f32);
    std::vector<double> out;
    for (Elems c = 0; c < channels; ++c) out.push_back(k.out.at(n, c));
    reference::require_close(out, row.out, type);
  }
}

void check_backward(DType type, DType gradient_type, Elems tokens, Elems channels, bool residual) {
  Norm k(type, tokens, channels);
  cpu::set_float_mode();
  k.forward();
  Gradients g(type, gradient_type, tokens, channels);
  run_every_way({&g.d_x, &g.d_gain, &g.d_bias}, [&] { layer_norm_backward(g.with(k, residual)); });
  const auto expected =
      reference::layer_norm_backward(k.x.values(), k.gain.values(), k.mean.values(), k.inv_std.values(),
                                     g.d_out.values(), residual ? g.d_residual.values() : std::vector<double>());
  reference::require_close(g.d_x.values(), expected.d_x, type);
  reference::require_close(g.d_gain.values(), expected.d_gain, gradient_type);
  reference::require_close(g.d_bias.values(), expected.d_bias, gradient_type);
}

}  // namespace

TEST_CASE("layer_norm: forward is within its rounding of double precision, with equal bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems tokens : token_counts)
      for (Elems channels : channel_counts) check_forward(type, tokens, channels);
}

TEST_CASE("layer_norm: backward is within its rounding of double precision, with equal bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems tokens : token_counts)
      for (Elems channels : channel_counts) check_backward(type, type, tokens, channels, channels % 2 == 1);
  check_backward(DType::bf16, DType::f32, 13, 90, true);
  check_backward(DType::f32, DType::bf16, 13, 90, false);
}

TEST_CASE("layer_norm: d_x may be d_residual", "[kernels]") {
  Norm k(DType::bf16, 7, 90);
  cpu::set_float_mode();
  k.forward();
  Gradients apart(DType::bf16, DType::bf16, 7, 90), one(DType::bf16, DType::bf16, 7, 90);
  layer_norm_backward(apart.with(k, true));
  LayerNormBackward in_place = one.with(k, true);
  in_place.d_x = one.d_residual;
  layer_norm_backward(in_place);
  CHECK(one.d_residual.values() == apart.d_x.values());
  CHECK(one.d_gain.bytes() == apart.d_gain.bytes());
}

TEST_CASE("layer_norm: parameter gradients are one f32 chain over the tokens in token order", "[kernels]") {
  const Elems tokens = 61, channels = 33;
  Norm k(DType::f32, tokens, channels);
  cpu::set_float_mode();
  k.forward();
  Gradients g(DType::f32, DType::bf16, tokens, channels);
  layer_norm_backward(g.with(k, false));
  for (Elems c = 0; c < channels; ++c) {
    float d_gain = 0, d_bias = 0;
    for (Elems n = 0; n < tokens; ++n) {
      const float d = static_cast<float>(g.d_out.at(n, c)), x = static_cast<float>(k.x.at(n, c));
      const float distance = x - static_cast<float>(k.mean.at(n));
      d_gain = std::fma(d, distance * static_cast<float>(k.inv_std.at(n)), d_gain);
      d_bias += d;
    }
    CHECK(g.d_gain.at(c) == to_f32(to_bf16(d_gain)));
    CHECK(g.d_bias.at(c) == to_f32(to_bf16(d_bias)));
  }
}

TEST_CASE("layer_norm: a parameter gradient that is left out changes no bit of what is computed", "[kernels]") {
  for (const DType gradient_type : {DType::bf16, DType::f32})
    for (const bool has_gain : {false, true})
      for (const bool has_bias : {false, true}) {
        Norm k(DType::bf16, 61, 90);
        k.forward();
        Gradients all(DType::bf16, gradient_type, 61, 90), some(DType::bf16, gradient_type, 61, 90);
        layer_norm_backward(all.with(k, true));
        LayerNormBackward part = some.with(k, true);
        if (!has_gain) part.d_gain = {};
        if (!has_bias) part.d_bias = {};
        layer_norm_backward(part);
        CHECK(some.d_x.values() == all.d_x.values());
        if (has_gain) CHECK(some.d_gain.values() == all.d_gain.values());
        if (has_bias) CHECK(some.d_bias.values() == all.d_bias.values());
      }
}

TEST_CASE("layer_norm: the gradient is the slope of the forward formula", "[kernels]") {
  using reference::Doubles;
  const Doubles gain = {1.2, 0.7, -0.4, 1, 0.9}, bias = {0.1, 0, -0.3, 0.2, 0}, d_out = {0.3, -1, 0.8, 0.1, 2};
  const Doubles x = {0.5, -1.5, 2, 0.25, 3};
  const auto loss = [&](const Doubles& at, const Doubles& scale) {
    const auto row = reference::layer_norm_forward(at.data(), scale, bias, 1e-5);
    double total = 0;
    for (std::size_t c = 0; c < at.size(); ++c) total += row.out[c].value * d_out[c];
    return total;
  };
  const auto row = reference::layer_norm_forward(x.data(), gain, bias, 1e-5);
  const auto g = reference::layer_norm_backward(x, gain, {row.mean.value}, {row.inv_std.value}, d_out, {});
  const double h = 1e-5;  // central difference: h^2 and 1e-16 / h, both about 1e-10
  for (std::size_t c = 0; c < x.size(); ++c) {
    Doubles up = x, down = x, gain_up = gain, gain_down = gain;
    up[c] += h, down[c] -= h, gain_up[c] += h, gain_down[c] -= h;
    CHECK(g.d_x[c].value == Approx((loss(up, gain) - loss(down, gain)) / (2 * h)).margin(1e-8));
    CHECK(g.d_gain[c].value == Approx((loss(x, gain_up) - loss(x, gain_down)) / (2 * h)).margin(1e-8));
  }
}

TEST_CASE("layer_norm: views that do not fit are refused", "[kernels]") {
  Norm k(DType::f32, 3, 8);
  GuardedTensor short_gain(DType::f32, 7), other_type(DType::bf16, 3, 8);
  CHECK_THROWS_AS(
      layer_norm_forward(
          {.x = k.x, .gain = short_gain, .bias = k.bias, .out = k.out, .mean = k.mean, .inv_std = k.inv_std}),
      Error);
  CHECK_THROWS_AS(
      layer_norm_forward(
          {.x = k.x, .gain = k.gain, .bias = k.bias, .out = other_type, .mean = k.mean, .inv_std = k.inv_std}),
      Error);
}

}  // namespace trireme
