#include "runtime/base/exact_sum.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace trireme {
namespace {

constexpr int lowest_exponent = -1088;  // digit 0 counts 2^lowest_exponent

using Limbs = std::array<std::int64_t, ExactSum::limb_count>;

// Carries made canonical: every digit in [0, 2^32), what is left over in the sign of the result.
bool normalize(Limbs& limbs) {
  std::int64_t carry = 0;
  for (std::int64_t& limb : limbs) {
    const std::int64_t total = limb + carry;
    limb = total & 0xffffffff;
    carry = total >> 32;
  }
  return carry < 0;
}

// Magnitude of canonical digits, rounded half to even.
double round_digits(const Limbs& limbs) {
  int top = ExactSum::limb_count - 1;
  while (top >= 0 && limbs[static_cast<std::size_t>(top)] == 0) --top;
  if (top < 0) return 0;
  // Three digits hold 65 to 96 significant bits; a sticky bit stands for all below.
  unsigned __int128 head = 0;
  for (int i = top; i > top - 3; --i)
    head = head << 32 | (i >= 0 ? static_cast<std::uint64_t>(limbs[static_cast<std::size_t>(i)]) : 0u);
  for (int i = top - 3; i >= 0; --i)
    if (limbs[static_cast<std::size_t>(i)] != 0) {
      head |= 1;
      break;
    }
  const int width = 128 - std::countl_zero(static_cast<std::uint64_t>(head >> 64));
  const int exponent = 32 * (top - 2) + lowest_exponent;
  // Keep 53 bits, fewer where the result is denormal.
  const int drop = std::max(width - 53, -1074 - exponent);
  const unsigned __int128 half = static_cast<unsigned __int128>(1) << (drop - 1);
  const unsigned __int128 rest = head & ((half << 1) - 1);
  auto mantissa = static_cast<std::uint64_t>(head >> drop);
  if (rest > half || (rest == half && (mantissa & 1))) ++mantissa;
  // Put together by its bits: arithmetic would flush a denormal total on threads that flush. A mantissa rounded up to
  // 2^53 carries into the exponent.
  constexpr std::uint64_t hidden = 1ull << 52;
  if (mantissa < hidden) return std::bit_cast<double>(mantissa);
  const int biased = exponent + drop + 1075;
  if (biased > 2046) return std::numeric_limits<double>::infinity();
  return std::bit_cast<double>((static_cast<std::uint64_t>(biased) << 52) + (mantissa - hidden));
}

}  // namespace

void ExactSum::add(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int biased = static_cast<int>(bits >> 52 & 0x7ff);
  if (biased == 0x7ff) {
    ++not_finite;
    return;
  }
  const std::uint64_t mantissa = (bits & 0xfffffffffffffull) | (biased ? 1ull << 52 : 0);
  const int shift = std::max(biased, 1) - 1075 - lowest_exponent;
  const auto first = static_cast<std::size_t>(shift / 32);
  const auto wide = static_cast<unsigned __int128>(mantissa) << (shift % 32);
  const std::int64_t sign = bits >> 63 ? -1 : 1;
  for (std::size_t i = 0; i < 3; ++i)
    if (first + i < limbs.size()) limbs[first + i] += sign * static_cast<std::int64_t>(wide >> (32 * i) & 0xffffffff);
}

void ExactSum::merge(const ExactSum& other) {
  for (std::size_t i = 0; i < limbs.size(); ++i) limbs[i] += other.limbs[i];
  not_finite += other.not_finite;
}

double ExactSum::value() const {
  if (not_finite != 0) return std::numeric_limits<double>::quiet_NaN();
  Limbs digits = limbs;
  if (!normalize(digits)) return round_digits(digits);
  digits = limbs;
  for (std::int64_t& digit : digits) digit = -digit;
  normalize(digits);
  return -round_digits(digits);
}

}  // namespace trireme
