#include "runtime/kernels/adamw.h"

#include "tests/reference/tolerance.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {

TEST_CASE("adamw: one step as PyTorch writes it, the same bits everywhere", "[kernels]") {
  const double lr = 1e-2, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0.1, scale = 0.7;
  const double correction1 = 1 - beta1 * beta1 * beta1, correction2 = 1 - beta2 * beta2 * beta2;
  for (Elems n : {1, 2, 15, 16, 17, 1023, 40001}) {
    GuardedTensor p(DType::f32, n), m(DType::f32, n), v(DType::f32, n), g(DType::f32, n), exported(DType::bf16, n);
    p.randomize(1), m.randomize(2, 0.1), v.randomize(3, 0.01), g.randomize(4);
    for (Elems i = 0; i < n; ++i) v.set(i, std::fabs(v.at(i)));
    std::vector<reference::Bounded> expected;
    const double e = reference::f32_error;
    for (Elems i = 0; i < n; ++i) {
      const double grad = g.at(i) * scale, m1 = beta1 * m.at(i) + (1 - beta1) * grad;
      const double v1 = beta2 * v.at(i) + (1 - beta2) * grad * grad;
      const double root = std::sqrt(v1 / correction2) + eps, change = lr / correction1 * m1 / root;
      // m: five roundings of terms of these magnitudes; the quotient: the relative errors of m, v / 2 and four more.
      const double m_error = 6 * e * (std::fabs(m.at(i)) + std::fabs(grad));
      const double change_error = lr / correction1 * m_error / root + std::fabs(change) * 12 * e;
      const double value = p.at(i) * (1 - lr * decay) - change;
      expected.push_back({value, change_error + 3 * e * (std::fabs(p.at(i)) + std::fabs(change))});
    }
    run_every_way({&p, &m, &v, &exported}, [&] {
      adamw({.master = p, .m = m, .v = v, .gradient = g, .exported = exported, .learning_rate = lr, .beta1 = beta1,
             .beta2 = beta2, .eps = eps, .weight_decay = decay, .correction1 = correction1, .correction2 = correction2,
             .gradient_scale = scale});
    });
    reference::require_close(p.values(), expected, DType::f32);
    for (Elems i = 0; i < n; ++i) REQUIRE(exported.at(i) == to_f32(to_bf16(static_cast<float>(p.at(i)))));
  }
}

}  // namespace trireme
