#pragma once
// The tile registers of AMX. Written as assembly: the compiler's own intrinsics do not say that they read memory.

#include <cstdint>

#include "runtime/base/units.h"

namespace trireme::cpu {

/// While it lives this thread has eight tile registers of 16 rows of 64 bytes; afterwards none, so that other code and
/// the kernel's context switches find a thread like any other. One at a time in a thread.
class TileRegisters {
 public:
  TileRegisters() {
    const Config config;
    asm volatile("ldtilecfg %0" : : "m"(config) : "memory");
  }
  ~TileRegisters() { asm volatile("tilerelease"); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;

 private:
  struct alignas(64) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static_assert(sizeof(Config) == 64);
};

/// Rows start `stride` bytes apart.
template <int tile>
inline void tile_load(const void* from, Bytes stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
inline void tile_store(void* to, Bytes stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(tile));
}
/// sum[16][16] += a[16][32 k] b[16 pairs of k][16], as ProductOrder::tiles says.
template <int sum, int a, int b>
inline void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
}

}  // namespace trireme::cpu
