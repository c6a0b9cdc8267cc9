#include "runtime/kernels/fill_normal.h"

#include <algorithm>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/threads.h"

namespace trireme {

void fill_normal(const FillNormal& k) {
  cpu::check_vector("fill_normal: out", k.out, DType::f32, k.out.elems());
  float* const out = k.out.as<float>();
  cpu::for_each_block(k.out.elems(), 4096, [&](Elems first, Elems last, int) {
    for (Elems i = first; i < last; ++i)
      out[i] = static_cast<float>(k.scale * k.random.normal(k.first_index + static_cast<std::uint64_t>(i)));
  });
}

void fill_constant(View out, float value) {
  cpu::check_vector("fill_constant: out", out, DType::f32, out.elems());
  std::fill_n(out.as<float>(), out.elems(), value);
}

}  // namespace trireme
