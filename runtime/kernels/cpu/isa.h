#pragma once
// Which instruction set the CPU kernels run on. All give the same bits; only speed differs (design 4.5).

#include <string_view>

namespace trireme::cpu {

enum class Isa { avx512_bf16, avx512f, avx2, scalar };

const char* name(Isa isa);
/// Errors: Error(config) for a name that is none of the four.
Isa parse_isa(std::string_view text);

/// The fastest one this CPU has (cpuid).
Isa detect_isa();
/// The one in use: detect_isa() unless select_isa() was called.
Isa active_isa();
/// Chooses for the whole process, matmul and element-wise kernels alike. Call before kernels run.
/// Errors: Error(device) where this CPU lacks it.
void select_isa(Isa isa);

}  // namespace trireme::cpu
