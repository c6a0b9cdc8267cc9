#include "runtime/kernels/cpu/register_peak.h"

#include <algorithm>
#include <chrono>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/simd/amx_tiles.h"
#include "runtime/kernels/cpu/threads.h"

namespace trireme::cpu {
namespace {

// Twelve independent chains hide the latency of any of these instructions.
#define TRIREME_TWELVE(instruction, width)                                                                             \
  instruction " %%" width "14, %%" width "15, %%" width "0\n" instruction " %%" width "14, %%" width "15, %%" width    \
              "1\n" instruction " %%" width "14, %%" width "15, %%" width "2\n" instruction " %%" width "14, %%" width \
              "15, %%" width "3\n" instruction " %%" width "14, %%" width "15, %%" width "4\n" instruction " %%" width \
              "14, %%" width "15, %%" width "5\n" instruction " %%" width "14, %%" width "15, %%" width                \
              "6\n" instruction " %%" width "14, %%" width "15, %%" width "7\n" instruction " %%" width "14, %%" width \
              "15, %%" width "8\n" instruction " %%" width "14, %%" width "15, %%" width "9\n" instruction " %%" width \
              "14, %%" width "15, %%" width "10\n" instruction " %%" width "14, %%" width "15, %%" width "11\n"
#define TRIREME_CLOBBERS \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"

/// One round of twelve instructions, and the flops of one instruction.
struct Loop {
  void (*run)(long rounds);
  double flops_of_one;
};

void bf16_512(long rounds) {
  for (long i = 0; i < rounds; ++i) asm volatile(TRIREME_TWELVE("vdpbf16ps", "zmm")::: TRIREME_CLOBBERS);
}
void f32_512(long rounds) {
  for (long i = 0; i < rounds; ++i) asm volatile(TRIREME_TWELVE("vfmadd231ps", "zmm")::: TRIREME_CLOBBERS);
}
void f32_256(long rounds) {
  for (long i = 0; i < rounds; ++i) asm volatile(TRIREME_TWELVE("vfmadd231ps", "ymm")::: TRIREME_CLOBBERS);
}
// Four sums in turn, as in a product of two tiles by two.
void tiles_bf16(long rounds) {
  const TileRegisters tiles;
  tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  tile_zero<4>(), tile_zero<5>(), tile_zero<6>(), tile_zero<7>();
  for (long i = 0; i < rounds; ++i)
    for (int three = 0; three < 3; ++three)
      tile_multiply<0, 4, 6>(), tile_multiply<1, 4, 7>(), tile_multiply<2, 5, 6>(), tile_multiply<3, 5, 7>();
}
// Plain code has no fused multiply-add of its own: a product and a sum count for it.
void f32_1(long rounds) {
  float x[6] = {1, 1, 1, 1, 1, 1};
  for (long i = 0; i < rounds; ++i)
    for (float& value : x) asm volatile("mulss %1, %0\n addss %1, %0\n" : "+x"(value) : "x"(0.5f));
}

Loop loop_of(Isa isa, DType type, ProductOrder order) {
  const bool chain_of_pairs = type == DType::bf16 && order == ProductOrder::chain;
  switch (isa) {
    case Isa::amx:
      if (type == DType::bf16 && order == ProductOrder::tiles) return {tiles_bf16, 2.0 * 16 * 16 * 32};
      return chain_of_pairs ? Loop{bf16_512, 64} : Loop{f32_512, 32};
    case Isa::avx512_bf16: return chain_of_pairs ? Loop{bf16_512, 64} : Loop{f32_512, 32};
    case Isa::avx512f: return {f32_512, 32};
    case Isa::avx2: return {f32_256, 16};
    case Isa::scalar: return {f32_1, 1};
  }
  return {f32_1, 1};
}

}  // namespace

double register_peak_flops(DType type, ProductOrder order) {
  using Clock = std::chrono::steady_clock;
  constexpr long rounds = 20'000;
  const Loop loop = loop_of(active_isa(), type, order);
  // As kernels run: registers hold whatever they held, and a denormal among it would slow every instruction.
  const unsigned mode = _mm_getcsr();
  set_float_mode();
  double best = 0;
  // The best of several short runs: other work on the machine only slows one.
  for (const auto end = Clock::now() + std::chrono::milliseconds(20); Clock::now() < end;) {
    const auto start = Clock::now();
    loop.run(rounds);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 12.0 * rounds * loop.flops_of_one / seconds);
  }
  _mm_setcsr(mode);
  return best;
}

}  // namespace trireme::cpu
