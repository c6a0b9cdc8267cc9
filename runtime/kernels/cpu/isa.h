#pragma once
// Which instruction set the CPU kernels run on. All give the same bits; only speed differs (design 4.5).

#include <string_view>

namespace trireme::cpu {

/// Each has what follows it. amx also means that the kernel lets this process use its tile registers.
enum class Isa { amx, avx512_bf16, avx512f, avx2, scalar };

/// From the fastest to the slowest.
inline constexpr Isa all_isas[] = {Isa::amx, Isa::avx512_bf16, Isa::avx512f, Isa::avx2, Isa::scalar};

const char* name(Isa isa);
/// Errors: Error(config) for a name that is none of these.
Isa parse_isa(std::string_view text);

/// The fastest one this process may use: cpuid, and for AMX the permission of the kernel, asked for once.
Isa detect_isa();
/// The one in use: detect_isa() unless select_isa() was called.
Isa active_isa();
/// Whether that has the instructions of avx512_bf16.
inline bool has_avx512_bf16() { return active_isa() <= Isa::avx512_bf16; }
/// Chooses for the whole process, matmul and element-wise kernels alike. Call before kernels run.
/// Errors: Error(device) where this CPU lacks it.
void select_isa(Isa isa);

}  // namespace trireme::cpu
