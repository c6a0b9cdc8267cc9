#include "runtime/kernels/cast.h"

#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

std::uint16_t bits_of(const GuardedTensor& tensor, Elems i) { return tensor.view().as<bf16>()[i].bits; }

}  // namespace

TEST_CASE("cast: f32 to bf16 has the bits of to_bf16, on every kind of number", "[kernels]") {
  const std::uint32_t special[] = {0,           0x80000000u, 0x7f800000u, 0xff800000u, 0x7f800001u,
                                   0xffc12345u, 0x00800000u, 0x007fffffu, 0x80000001u, 0x7f7fffffu,
                                   0x3f808000u, 0x3f818000u, 0x3f808001u, 0x7f7f8000u};
  for (Elems n : {1, 2, 15, 16, 17, 1023, 1024, 1025, 40000}) {
    GuardedTensor in(DType::f32, n), out(DType::bf16, n);
    in.randomize(1, 100);
    float* const x = in.view().as<float>();
    for (Elems i = 0; i < n && i < 14; ++i) {
      x[i] = std::bit_cast<float>(special[i]);
      x[n - 1 - i] = std::bit_cast<float>(special[i]);  // in the tail as well
    }
    run_every_way({&out}, [&] { cast({.in = in, .out = out}); });
    for (Elems i = 0; i < n; ++i) REQUIRE(bits_of(out, i) == to_bf16(x[i]).bits);
  }
}

TEST_CASE("cast: every bf16 becomes the f32 of its bits", "[kernels]") {
  GuardedTensor in(DType::bf16, 0x10000), out(DType::f32, 0x10000);
  for (Elems i = 0; i < 0x10000; ++i) in.view().as<bf16>()[i] = bf16{static_cast<std::uint16_t>(i)};
  run_every_way({&out}, [&] { cast({.in = in, .out = out}); });
  for (Elems i = 0; i < 0x10000; ++i)
    REQUIRE(std::bit_cast<std::uint32_t>(out.view().as<float>()[i]) == static_cast<std::uint32_t>(i) << 16);
}

TEST_CASE("cast: f32 to f32 copies bits", "[kernels]") {
  for (Elems n : {1, 17, 1025}) {
    GuardedTensor in(DType::f32, n), out(DType::f32, n);
    in.randomize(1);
    in.view().as<float>()[n - 1] = std::bit_cast<float>(0x80000001u);  // a denormal too
    run_every_way({&out}, [&] { cast({.in = in, .out = out}); });
    CHECK(out.bytes() == in.bytes());
  }
}

TEST_CASE("cast: other lengths and types are refused", "[kernels]") {
  GuardedTensor in(DType::f32, 16), shorter(DType::bf16, 15), integers(DType::i32, 16);
  CHECK_THROWS_AS(cast({.in = in, .out = shorter}), Error);
  CHECK_THROWS_AS(cast({.in = in, .out = integers}), Error);
  CHECK_NOTHROW(cast({.in = in.view().cols_from(0, 0), .out = shorter.view().cols_from(0, 0)}));
}

}  // namespace trireme
