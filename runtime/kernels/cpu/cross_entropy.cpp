#include "runtime/kernels/cross_entropy.h"

#include "runtime/kernels/cpu/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>

#include <cmath>
#include <limits>

#include "runtime/base/natural_log.h"
#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

constexpr float log2_e = 1.44269504f;

template <typename T>
void row(const CrossEntropy& k, Elems n) {
  T* x = k.logits.as<T>() + n * k.logits.row_stride;
  const std::int32_t target = k.targets.as<std::int32_t>()[n];
  const float weight = k.weights.as<float>()[n];
  const bool counts = target >= 0 && weight != 0;
  const Elems vocabulary = k.vocabulary;
  float maximum = -3e38f, total = 0;
  if (counts) {
    F16 top = set(maximum);
    for (Elems v = 0; v < vocabulary; v += lanes) top = max(top, load_at(x, v, vocabulary, -3e38f));
    maximum = largest(top);
    F16 terms = set(0);
    for (Elems v = 0; v < vocabulary; v += lanes) {
      const F16 e = exp2((load_at(x, v, vocabulary) - set(maximum)) * set(log2_e));
      float kept[lanes] = {};
      if (vocabulary - v >= lanes) {
        terms = terms + e;
        continue;
      }
      store_tail(kept, e, vocabulary - v);
      terms = terms + load(kept);
    }
    total = sum(terms);
    float at_target = 0;
    store_tail(&at_target, load_tail(x + target, 1), 1);
    // A not-finite logit must show in the loss: it reaches it through the maximum, the sum or the target.
    k.losses.as<float>()[n] = std::isfinite(total) && std::isfinite(maximum)
                                  ? static_cast<float>(weight * (natural_log(total) + (static_cast<double>(maximum) - at_target)))
                                  : std::numeric_limits<float>::quiet_NaN();
  } else {
    k.losses.as<float>()[n] = 0;
  }
  if (!k.backward) return;
  const F16 scale = set(counts ? weight * k.scale / total : 0.0f);
  float own = 0;  // the target's element: softmax - 1, before any rounding
  if (counts) {
    const F16 e = exp2((load_tail(x + target, 1) - set(maximum)) * set(log2_e)) * scale - set(weight * k.scale);
    store_tail(&own, e, 1);
  }
  for (Elems v = 0; v < vocabulary && counts; v += lanes)
    store_at(x, exp2((load_at(x, v, vocabulary) - set(maximum)) * set(log2_e)) * scale, v, vocabulary);
  const F16 zero = set(0);
  for (Elems v = counts ? vocabulary : 0; v < k.logits.cols; v += lanes) store_at(x, zero, v, k.logits.cols);
  if (counts) store_tail(x + target, set(own), 1);
}

/// Here, because a throw among the threads would end the process without saying where.
void check(const CrossEntropy& k) {
  const Elems rows = k.logits.rows;
  ensure(k.vocabulary > 0 && k.vocabulary <= k.logits.cols, "a vocabulary of {} in {} columns", k.vocabulary, k.logits.cols);
  check_vector("cross_entropy: targets", k.targets, DType::i32, rows);
  check_vector("cross_entropy: weights", k.weights, DType::f32, rows);
  check_vector("cross_entropy: losses", k.losses, DType::f32, rows);
  const auto* targets = k.targets.as<std::int32_t>();
  const auto* weights = k.weights.as<float>();
  for (Elems n = 0; n < rows; ++n)
    ensure(targets[n] < k.vocabulary || weights[n] == 0, "target {} of row {} is outside a vocabulary of {}", targets[n], n,
           k.vocabulary);
}

void loss(const CrossEntropy& k) {
  if (k.logits.rows == 0) return;
  check(k);
  with_type(k.logits.type, [&](auto type) {
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
