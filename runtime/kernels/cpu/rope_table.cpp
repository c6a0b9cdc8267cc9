#include "runtime/kernels/rope.h"

#include <cmath>

#include "runtime/kernels/cpu/check_view.h"

namespace trireme {
namespace {

struct CosSin {
  double cosine, sine;
};

// Taylor series on [-pi/4, pi/4] after taking off multiples of pi/2 in two parts; positions stay far below 2^26, where
// the reduction is exact enough for f32 tables.
CosSin cos_sin(double angle) {
  constexpr double pi_2_high = 1.57079632679489655800e+00, pi_2_low = 6.12323399573676603587e-17;
  const double turns = std::nearbyint(angle / pi_2_high);
  const double r = (angle - turns * pi_2_high) - turns * pi_2_low, r2 = r * r;
  double sine = 0, cosine = 0;
  for (int k = 19; k >= 3; k -= 2) sine = (1 - sine) * r2 / (k * (k - 1));
  for (int k = 20; k >= 2; k -= 2) cosine = (1 - cosine) * r2 / (k * (k - 1));
  sine = r * (1 - sine);
  cosine = 1 - cosine;
  switch (static_cast<std::int64_t>(turns) & 3) {
    case 0: return {cosine, sine};
    case 1: return {-sine, cosine};
    case 2: return {-cosine, -sine};
    default: return {sine, -cosine};
  }
}

// theta^(-2i/D) by its D-th root, found by Newton's method: no libm power, equal bits everywhere.
double root(double x, Elems degree) {
  double y = 1 + (x - 1) / static_cast<double>(degree);
  for (int step = 0; step < 4000; ++step) {
    double power = 1;
    for (Elems i = 0; i + 1 < degree; ++i) power *= y;
    const double next = y - (y - x / power) / static_cast<double>(degree);
    if (std::fabs(next - y) <= 1e-16 * y) return next;
    y = next;
  }
  return y;
}

double scaled(double frequency, const RopeScaling& scaling) {
  constexpr double turn = 6.28318530717958647693;
  if (scaling.factor == 1) return frequency;
  const double periods = scaling.original_context * frequency / turn;
  if (periods < scaling.low_freq_factor) return frequency / scaling.factor;
  if (periods > scaling.high_freq_factor) return frequency;
  const double kept = (periods - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

}  // namespace

void rope_table(const RopeTable& k) {
  const Elems half = k.head_dim / 2;
  ensure(k.head_dim > 0 && k.head_dim % 2 == 0 && k.theta >= 1, "rope_table: head_dim {} is odd or theta {} below 1",
         k.head_dim, k.theta);
  cpu::check_matrix("rope_table: cosines", k.cosines, DType::f32, k.cosines.rows, half);
  cpu::check_matrix("rope_table: sines", k.sines, DType::f32, k.cosines.rows, half);
  const double ratio = 1 / root(k.theta, half);
  double frequency = 1;
  for (Elems i = 0; i < half; ++i, frequency *= ratio) {
    const double step = scaled(frequency, k.scaling);
    for (Elems t = 0; t < k.cosines.rows; ++t) {
      const CosSin turn = cos_sin(static_cast<double>(t) * step);
      k.cosines.as<float>()[t * k.cosines.row_stride + i] = static_cast<float>(turn.cosine);
      k.sines.as<float>()[t * k.sines.row_stride + i] = static_cast<float>(turn.sine);
    }
  }
}

}  // namespace trireme
