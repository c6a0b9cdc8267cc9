#include "runtime/kernels/rms_norm.h"

#include "tests/reference/rms_norm.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

constexpr Elems token_counts[] = {1, 2, 7, 61};
constexpr Elems channel_counts[] = {1, 2, 7, 15, 16, 17, 33, 64, 90, 384, 769};

struct Norm {
  GuardedTensor x, gain, out, inv_rms;

  Norm(DType type, Elems tokens, Elems channels)
      : x(type, tokens, channels, 3),
        gain(type, channels),
        out(type, tokens, channels, 5),
        inv_rms(DType::f32, tokens) {
    x.randomize(1, 2, 0.5), gain.randomize(2, 0.3, 1);
  }
  void forward() { rms_norm_forward({.x = x, .gain = gain, .out = out, .inv_rms = inv_rms, .eps = 1e-5f}); }
};

struct Gradients {
  GuardedTensor d_out, d_residual, d_x, d_gain;

  Gradients(DType type, DType gradient_type, Elems tokens, Elems channels)
      : d_out(type, tokens, channels, 1),
        d_residual(type, tokens, channels, 2),
        d_x(type, tokens, channels, 4),
        d_gain(gradient_type, channels) {
    d_out.randomize(4), d_residual.randomize(5);
  }
  RmsNormBackward with(const Norm& k, bool residual) {
    return {.x = k.x,
            .gain = k.gain,
            .inv_rms = k.inv_rms,
            .d_out = d_out,
            .d_residual = residual ? ConstView(d_residual) : ConstView(),
            .d_x = d_x,
            .d_gain = d_gain};
  }
};

void check_forward(DType type, Elems tokens, Elems channels) {
  Norm k(type, tokens, channels);
  run_every_way({&k.out, &k.inv_rms}, [&] { k.forward(); });
  const auto x = k.x.values();
  for (Elems n = 0; n < tokens; ++n) {
    const auto row = reference::rms_norm_forward(x.data() + n * channels, k.gain.values(), 1e-5f);
    reference::require_close({k.inv_rms.at(n)}, {row.inv_rms}, DType::f32);
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
  run_every_way({&g.d_x, &g.d_gain}, [&] { rms_norm_backward(g.with(k, residual)); });
  const auto expected =
      reference::rms_norm_backward(k.x.values(), k.gain.values(), k.inv_rms.values(), g.d_out.values(),
                                   residual ? g.d_residual.values() : std::vector<double>());
  reference::require_close(g.d_x.values(), expected.d_x, type);
  reference::require_close(g.d_gain.values(), expected.d_gain, gradient_type);
}

}  // namespace

TEST_CASE("rms_norm: forward is within its rounding of double precision, with equal bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems tokens : token_counts)
      for (Elems channels : channel_counts) check_forward(type, tokens, channels);
}

TEST_CASE("rms_norm: backward is within its rounding of double precision, with equal bits everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (Elems tokens : token_counts)
      for (Elems channels : channel_counts) check_backward(type, type, tokens, channels, channels % 2 == 1);
  check_backward(DType::bf16, DType::f32, 13, 90, true);
  check_backward(DType::f32, DType::bf16, 13, 90, false);
}

TEST_CASE("rms_norm: d_x may be d_residual", "[kernels]") {
  Norm k(DType::bf16, 7, 90);
  cpu::set_float_mode();
  k.forward();
  Gradients apart(DType::bf16, DType::bf16, 7, 90), one(DType::bf16, DType::bf16, 7, 90);
  rms_norm_backward(apart.with(k, true));
  RmsNormBackward in_place = one.with(k, true);
  in_place.d_x = one.d_residual;
  rms_norm_backward(in_place);
  CHECK(one.d_residual.values() == apart.d_x.values());
  CHECK(one.d_gain.bytes() == apart.d_gain.bytes());
}

TEST_CASE("rms_norm: d_gain is one f32 chain over the tokens in token order", "[kernels]") {
  const Elems tokens = 61, channels = 33;
  Norm k(DType::f32, tokens, channels);
  cpu::set_float_mode();
  k.forward();
  Gradients g(DType::f32, DType::bf16, tokens, channels);
  rms_norm_backward(g.with(k, false));
  for (Elems c = 0; c < channels; ++c) {
    float d_gain = 0;
    for (Elems n = 0; n < tokens; ++n) {
      const float normed = static_cast<float>(k.x.at(n, c)) * static_cast<float>(k.inv_rms.at(n));
      d_gain = std::fma(static_cast<float>(g.d_out.at(n, c)), normed, d_gain);
    }
    CHECK(g.d_gain.at(c) == to_f32(to_bf16(d_gain)));
  }
}

TEST_CASE("rms_norm: heads in columns of a wider matrix have the bits of heads as rows", "[kernels]") {
  const Elems tokens = 13, heads = 3, channels = 30;
  for (DType type : {DType::bf16, DType::f32}) {
    Norm rows(type, tokens * heads, channels);
    Gradients of_rows(type, type, tokens * heads, channels);
    GuardedTensor x(type, tokens, (heads + 2) * channels, 3), out(type, tokens, heads * channels, 1);
    GuardedTensor d_out(type, tokens, heads * channels, 2), d_x(type, tokens, (heads + 1) * channels);
    for (Elems n = 0; n < tokens; ++n)
      for (Elems c = 0; c < heads * channels; ++c) {
        const Elems row = n * heads + c / channels, channel = c % channels;
        x.set(n, channels + c, rows.x.at(row, channel));
        d_out.set(n, c, of_rows.d_out.at(row, channel));
      }
    cpu::set_float_mode();
    rows.forward();
    rms_norm_backward(of_rows.with(rows, false));
    Gradients of_heads(type, type, tokens * heads, channels);
    GuardedTensor inv_rms(DType::f32, tokens * heads);
    const View heads_of_x = x.view().cols_from(channels, heads * channels);
    const View heads_of_d_x = d_x.view().cols_from(0, heads * channels);
    run_every_way({&out, &inv_rms}, [&] {
      rms_norm_forward({.x = heads_of_x, .gain = rows.gain, .out = out, .inv_rms = inv_rms, .eps = 1e-5f});
    });
    run_every_way({&d_x, &of_heads.d_gain}, [&] {
      rms_norm_backward({.x = heads_of_x,
                         .gain = rows.gain,
                         .inv_rms = inv_rms,
                         .d_out = d_out,
                         .d_x = heads_of_d_x,
                         .d_gain = of_heads.d_gain});
    });
    CHECK(inv_rms.bytes() == rows.inv_rms.bytes());
    CHECK(of_heads.d_gain.bytes() == of_rows.d_gain.bytes());
    for (Elems n = 0; n < tokens; ++n)
      for (Elems c = 0; c < heads * channels; ++c) {
        const Elems row = n * heads + c / channels, channel = c % channels;
        REQUIRE(out.at(n, c) == rows.out.at(row, channel));
        REQUIRE(d_x.at(n, c) == of_rows.d_x.at(row, channel));
      }
  }
}

TEST_CASE("rms_norm: d_gain left out changes no bit of d_x", "[kernels]") {
  Norm k(DType::bf16, 61, 90);
  k.forward();
  Gradients all(DType::bf16, DType::bf16, 61, 90), some(DType::bf16, DType::bf16, 61, 90);
  rms_norm_backward(all.with(k, true));
  RmsNormBackward part = some.with(k, true);
  part.d_gain = {};
  rms_norm_backward(part);
  CHECK(some.d_x.values() == all.d_x.values());
}

TEST_CASE("rms_norm: the gradient is the slope of the forward formula", "[kernels]") {
  using reference::Doubles;
  const Doubles gain = {1.2, 0.7, -0.4, 1, 0.9}, d_out = {0.3, -1, 0.8, 0.1, 2}, x = {0.5, -1.5, 2, 0.25, 3};
  const auto loss = [&](const Doubles& at, const Doubles& scale) {
    const auto row = reference::rms_norm_forward(at.data(), scale, 1e-5);
    double total = 0;
    for (std::size_t c = 0; c < at.size(); ++c) total += row.out[c].value * d_out[c];
    return total;
  };
  const auto row = reference::rms_norm_forward(x.data(), gain, 1e-5);
  const auto g = reference::rms_norm_backward(x, gain, {row.inv_rms.value}, d_out, {});
  const double h = 1e-5;  // central difference: h^2 and 1e-16 / h, both about 1e-10
  for (std::size_t c = 0; c < x.size(); ++c) {
    Doubles up = x, down = x, gain_up = gain, gain_down = gain;
    up[c] += h, down[c] -= h, gain_up[c] += h, gain_down[c] -= h;
    CHECK(g.d_x[c].value == Approx((loss(up, gain) - loss(down, gain)) / (2 * h)).margin(1e-8));
    CHECK(g.d_gain[c].value == Approx((loss(x, gain_up) - loss(x, gain_down)) / (2 * h)).margin(1e-8));
  }
}

TEST_CASE("rms_norm: views that do not fit are refused", "[kernels]") {
  Norm k(DType::f32, 3, 8);
  GuardedTensor short_gain(DType::f32, 7);
  CHECK_THROWS_AS(rms_norm_forward({.x = k.x, .gain = short_gain, .out = k.out, .inv_rms = k.inv_rms}), Error);
}

}  // namespace trireme
