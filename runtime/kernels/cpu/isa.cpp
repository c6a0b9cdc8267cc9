#include "runtime/kernels/cpu/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include <hwy/highway.h>
#include <hwy/targets.h>
#include "runtime/base/error.h"
#include "runtime/kernels/cpu/simd/hwy_targets.h"

namespace trireme::cpu {
namespace {

std::atomic<int> selected = -1;  // an Isa, or -1 until somebody selects

std::int64_t highway_targets(Isa isa) {
  switch (isa) {
    case Isa::amx: return HWY_AVX3 | HWY_AVX2 | HWY_EMU128;
    case Isa::avx512_bf16: return HWY_AVX3 | HWY_AVX2 | HWY_EMU128;
    case Isa::avx512f: return HWY_AVX3 | HWY_AVX2 | HWY_EMU128;
    case Isa::avx2: return HWY_AVX2 | HWY_EMU128;
    case Isa::scalar: return HWY_EMU128;
  }
  return HWY_EMU128;
}

// Linux hands out the 8 KiB of tile registers by process, on request.
bool may_use_tiles() {
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & amx_bf16) == 0 || (edx & amx_tile) == 0) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

Isa best_isa() {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512cd");
  if (avx512 && __builtin_cpu_supports("avx512bf16")) return may_use_tiles() ? Isa::amx : Isa::avx512_bf16;
  if (avx512) return Isa::avx512f;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
  return Isa::scalar;
}

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::amx: return "amx";
    case Isa::avx512_bf16: return "avx512_bf16";
    case Isa::avx512f: return "avx512f";
    case Isa::avx2: return "avx2";
    case Isa::scalar: return "scalar";
  }
  return "scalar";
}

Isa parse_isa(std::string_view text) {
  for (Isa isa : all_isas)
    if (text == name(isa)) return isa;
  throw Error(ErrorKind::config,
              fmt::format("'{}' is no instruction set; use amx, avx512_bf16, avx512f, avx2 or scalar", text));
}

Isa detect_isa() {
  static const Isa best = best_isa();
  return best;
}

Isa active_isa() {
  const int isa = selected.load(std::memory_order_relaxed);
  return isa < 0 ? detect_isa() : static_cast<Isa>(isa);
}

void select_isa(Isa isa) {
  require(isa >= detect_isa(), ErrorKind::device, "this CPU has no {}; its best is {}", name(isa), name(detect_isa()));
  selected.store(static_cast<int>(isa), std::memory_order_relaxed);
  hwy::SetSupportedTargetsForTest(highway_targets(isa));
}

}  // namespace trireme::cpu
