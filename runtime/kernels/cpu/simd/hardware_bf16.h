#pragma once
// A bf16 that the CPU's own instruction rounds.

#include "runtime/base/dtype.h"

namespace trireme::cpu {

/// Stored and read as any bf16, with the bits of to_bf16(); a type of its own so that loops over it are compiled apart,
/// for CPUs with AVX512_BF16, where vcvtneps2bf16 takes the place of a dozen instructions.
struct HardwareBf16 : bf16 {};

}  // namespace trireme::cpu

template <>
struct trireme::dtype_of<trireme::cpu::HardwareBf16> {
  static constexpr DType value = DType::bf16;
};
