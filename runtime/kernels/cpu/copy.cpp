#include "runtime/kernels/copy.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/copy.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/simd/streaming.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

/// `bytes` is a multiple of 64, `to` of streaming_alignment.
void copy_streaming(std::byte* to, const std::byte* from, Bytes bytes) {
  const hn::CappedTag<std::uint8_t, streaming_alignment> u8;
  const auto step = static_cast<Bytes>(hn::Lanes(u8));
  for (Bytes at = 0; at < bytes; at += step)
    hn::Stream(hn::LoadU(u8, reinterpret_cast<const std::uint8_t*>(from + at)), u8,
               reinterpret_cast<std::uint8_t*>(to + at));
  hwy::FlushStream();
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(copy_streaming);
}  // namespace cpu

void copy_bytes(void* to, const void* from, Bytes bytes) {
  using namespace cpu;
  if (!is_worth_streaming(bytes)) {
    if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
    return;
  }
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  const Bytes head = to_streaming_alignment(to), body = (bytes - head) / streaming_alignment * streaming_alignment;
  std::memcpy(out, in, static_cast<std::size_t>(head));
  HWY_DYNAMIC_DISPATCH(copy_streaming)(out + head, in + head, body);
  std::memcpy(out + head + body, in + head + body, static_cast<std::size_t>(bytes - head - body));
}

}  // namespace trireme
#endif
