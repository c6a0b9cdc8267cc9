#include "runtime/kernels/bias.h"

#include <numeric>

#include "tests/reference/bias.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

void check(DType type, DType gradient_type, Elems tokens, Elems channels) {
  GuardedTensor d_out(type, tokens, channels, 3), d_bias(gradient_type, channels);
  d_out.randomize(7);
  run_every_way({&d_bias}, [&] { bias_gradient({.d_out = d_out, .d_bias = d_bias}); });
  std::vector<Elems> all(static_cast<std::size_t>(tokens));
  std::iota(all.begin(), all.end(), 0);
  GuardedTensor expected(gradient_type, channels);
  for (Elems c = 0; c < channels; ++c) expected.set(c, reference::column_chain(d_out, c, all));
  CHECK(d_bias.bytes() == expected.bytes());
}

}  // namespace

TEST_CASE("bias: the gradient is one f32 chain over the tokens in token order, bit for bit everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (DType gradient_type : {DType::bf16, DType::f32})
      for (Elems tokens : {1, 2, 7, 61})
        for (Elems channels : {1, 2, 7, 15, 16, 17, 33, 64, 90, 384, 769}) check(type, gradient_type, tokens, channels);
}

TEST_CASE("bias: without a gradient to write nothing is done", "[kernels]") {
  GuardedTensor d_out(DType::f32, 3, 8);
  CHECK_NOTHROW(bias_gradient({.d_out = d_out, .d_bias = {}}));
}

TEST_CASE("bias: a gradient of another width is refused", "[kernels]") {
  GuardedTensor d_out(DType::f32, 3, 8), d_bias(DType::f32, 7);
  CHECK_THROWS_AS(bias_gradient({.d_out = d_out, .d_bias = d_bias}), Error);
}

}  // namespace trireme
