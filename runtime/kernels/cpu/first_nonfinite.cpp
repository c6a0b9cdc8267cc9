#include "runtime/kernels/first_nonfinite.h"

#include <algorithm>
#include <cstdint>

#include "runtime/kernels/cpu/check_view.h"

namespace trireme {
namespace {

// All bits of the exponent are set in what is not finite.
template <typename Bits>
std::optional<Elems> find(const void* data, Elems n, Bits exponent) {
  const auto* x = static_cast<const Bits*>(data);
  const auto* found = std::find_if(x, x + n, [=](Bits bits) { return (bits & exponent) == exponent; });
  return found == x + n ? std::nullopt : std::optional<Elems>(found - x);
}

}  // namespace

std::optional<Elems> first_nonfinite(ConstView x) {
  if (x.elems() == 0) return std::nullopt;
  cpu::check_vector("first_nonfinite: x", x, x.type, x.elems());
  if (x.type == DType::f32) return find<std::uint32_t>(x.data, x.elems(), 0x7f800000u);
  ensure(x.type == DType::bf16, "first_nonfinite: f32 or bf16, not {}", name(x.type));
  return find<std::uint16_t>(x.data, x.elems(), std::uint16_t{0x7f80});
}

}  // namespace trireme
