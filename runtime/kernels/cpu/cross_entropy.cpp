#include "runtime/kernels/cross_entropy.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>

#include <cmath>
#include <limits>

#include "runtime/base/natural_log.h"
#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

constexpr float log2_e = 1.44269504f;

// A maximum has no order: several are taken side by side. Logits that are NaN do not count here; they show in the sum.
template <typename T>
float largest_of(const T* x, Elems n) {
  F16 top[4];
  for (F16& t : top) t = set(-3e38f);
  Elems v = 0;
  for (; v + 4 * lanes <= n; v += 4 * lanes)
    for (int i = 0; i < 4; ++i) top[i] = max(top[i], load(x + v + i * lanes));
  for (; v < n; v += lanes) top[0] = max(top[0], load_at(x, v, n, -3e38f));
  return largest(max(max(top[0], top[1]), max(top[2], top[3])));
}

/// e^(x - maximum).
HWY_INLINE F16 exponential(F16 x, F16 maximum) { return exp2_of_negative((x - maximum) * set(log2_e)); }

template <typename T>
float sum_of_exponentials(const T* x, Elems n, F16 maximum) {
  F16 terms = set(0);
  Elems v = 0;
  for (; v + lanes <= n; v += lanes) terms = terms + exponential(load(x + v), maximum);
  if (v < n) terms = terms + keep_first(exponential(load_tail(x + v, n - v), maximum), n - v);
  return sum(terms);
}

/// What is known of a row after its sum.
struct RowSum {
  std::int32_t target;
  float weight, maximum, total;
};

template <typename T>
float loss_of(const T* x, const RowSum& r) {
  float at_target = 0;
  store_tail(&at_target, load_tail(x + r.target, 1), 1);
  // NaN and +inf must show in the loss: they reach the maximum or the sum. -inf is a token that cannot be: it shows as
  // the target alone.
  if (!std::isfinite(r.total) || !std::isfinite(r.maximum)) return std::numeric_limits<float>::quiet_NaN();
  return static_cast<float>(r.weight * (natural_log(r.total) + (static_cast<double>(r.maximum) - at_target)));
}

template <typename T>
void store_gradient(const CrossEntropy& k, T* x, const RowSum& r) {
  const F16 maximum = set(r.maximum), scale = set(r.weight * k.scale / r.total);
  // The target's element: softmax - 1, before any rounding.
  const F16 own = exponential(load_tail(x + r.target, 1), maximum) * scale - set(r.weight * k.scale);
  Elems v = 0;
  for (; v + lanes <= k.vocabulary; v += lanes) store(x + v, exponential(load(x + v), maximum) * scale);
  if (v < k.vocabulary)
    store_tail(x + v, exponential(load_tail(x + v, k.vocabulary - v), maximum) * scale, k.vocabulary - v);
  store_tail(x + r.target, own, 1);
}

template <typename T>
void row(const CrossEntropy& k, Elems n) {
  T* x = row_of<T>(k.logits, n);
  RowSum r{.target = k.targets.as<std::int32_t>()[n], .weight = k.weights.as<float>()[n], .maximum = 0, .total = 0};
  const bool counts = target_counts(r.target, r.weight);
  if (counts) {
    r.maximum = largest_of(x, k.vocabulary);
    r.total = sum_of_exponentials(x, k.vocabulary, set(r.maximum));
  }
  k.losses.as<float>()[n] = counts ? loss_of(x, r) : 0;
  if (!k.backward) return;
  if (counts) store_gradient(k, x, r);
  for (Elems v = counts ? k.vocabulary : 0; v < k.logits.cols; v += lanes) store_at(x, set(0), v, k.logits.cols);
}

/// Here, because a throw among the threads would end the process without saying where.
void check(const CrossEntropy& k) {
  const Elems rows = k.logits.rows;
  ensure(k.vocabulary > 0 && k.vocabulary <= k.logits.cols, "a vocabulary of {} in {} columns", k.vocabulary,
         k.logits.cols);
  check_vector("cross_entropy: targets", k.targets, DType::i32, rows);
  check_vector("cross_entropy: weights", k.weights, DType::f32, rows);
  check_vector("cross_entropy: losses", k.losses, DType::f32, rows);
  const auto* targets = k.targets.as<std::int32_t>();
  const auto* weights = k.weights.as<float>();
  for (Elems n = 0; n < rows; ++n)
    ensure(targets[n] < k.vocabulary || !target_counts(targets[n], weights[n]),
           "target {} of row {} is outside a vocabulary of {}", targets[n], n, k.vocabulary);
}

void loss(const CrossEntropy& k) {
  if (k.logits.rows == 0) return;
  check(k);
  with_storage(k.logits.type, [&](auto type) {
    for_each_block(k.logits.rows, 4, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) row<decltype(type)>(k, n);
    });
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(loss);
}  // namespace cpu

void cross_entropy(const CrossEntropy& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(loss)(k);
}
}  // namespace trireme
#endif
