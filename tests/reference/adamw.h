#pragma once
// One AdamW step of one element in double precision, as PyTorch writes it, with bounds on what the kernel may differ
// by.

#include <cmath>

#include "tests/reference/tolerance.h"

namespace trireme::reference {

struct AdamwSettings {
  double learning_rate, beta1, beta2, eps, weight_decay, correction1, correction2, gradient_scale;
};
struct AdamwElement {
  Bounded master, m, v;
};

inline AdamwElement adamw(const AdamwSettings& s, double master, double m, double v, double gradient) {
  const double e = f32_error, g = gradient * s.gradient_scale;
  const double m1 = s.beta1 * m + (1 - s.beta1) * g, v1 = s.beta2 * v + (1 - s.beta2) * g * g;
  const double root = std::sqrt(v1 / s.correction2) + s.eps, change = s.learning_rate / s.correction1 * m1 / root;
  // m: five roundings of terms of these magnitudes; v: all terms positive, the gradient's error twice, three more.
  const double m_error = 6 * e * (std::fabs(m) + std::fabs(g)), v_error = 8 * e * v1;
  // The quotient: the relative errors of m, of v / 2, and four more.
  const double change_error = s.learning_rate / s.correction1 * m_error / root + std::fabs(change) * 12 * e;
  const double value = master * (1 - s.learning_rate * s.weight_decay) - change;
  return {{value, change_error + 3 * e * (std::fabs(master) + std::fabs(change))}, {m1, m_error}, {v1, v_error}};
}

}  // namespace trireme::reference
