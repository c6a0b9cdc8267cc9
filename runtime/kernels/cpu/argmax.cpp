#include "runtime/kernels/argmax.h"

#include <cmath>

#include "runtime/kernels/cpu/with_type.h"

namespace trireme {
namespace {

float value_of(bf16 x) { return to_f32(x); }
float value_of(float x) { return x; }

}  // namespace

void argmax(const Argmax& k) {
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
