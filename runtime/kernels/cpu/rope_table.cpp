#include "runtime/kernels/rope.h"

#include <cmath>

#include "runtime/base/cos_sin.h"
#include "runtime/kernels/cpu/check_view.h"

namespace trireme {
namespace {

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
