#include "runtime/kernels/argmax.h"

#include <cmath>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

float value_of(bf16 x) { return to_f32(x); }
float value_of(float x) { return x; }

}  // namespace

void argmax(const Argmax& k) {
  cpu::check_matrix("argmax: logits", k.logits, k.logits.type, 1, k.logits.cols);
  cpu::check_vector("argmax: index", k.index, DType::i32, 1);
  ensure(k.vocabulary > 0 && k.vocabulary <= k.logits.cols, "argmax: {} of {} columns", k.vocabulary, k.logits.cols);
  cpu::with_type(k.logits.type, [&](auto type) {
    const auto* x = k.logits.as<decltype(type)>();
    Elems best = 0;
    for (Elems v = 1; v < k.vocabulary; ++v) {
      const float candidate = value_of(x[v]), leader = value_of(x[best]);
      if (candidate > leader || (std::isnan(leader) && !std::isnan(candidate))) best = v;
    }
    k.index.as<std::int32_t>()[0] = static_cast<std::int32_t>(best);
  });
}

}  // namespace trireme
