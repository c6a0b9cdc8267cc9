#include "runtime/kernels/cast.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/cast.cpp"
#include <hwy/foreach_target.h>

#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

template <typename In, typename Out>
void cast_elements(const In* in, Out* out, Elems n) {
  for_each_block(n, elementwise_block, [&](Elems first, Elems last, int) HWY_ATTR {
    for (Elems i = first; i < last; i += lanes) store_at(out, load_at(in, i, last), i, last);
  });
}

void cast_all(const Cast& k) {
  ensure(k.in.elems() == k.out.elems() && k.in.contiguous() && k.out.contiguous(), "cast of {} to {} elements",
         k.in.elems(), k.out.elems());
  with_type(k.in.type, [&](auto in) {
    with_storage(k.out.type,
                 [&](auto out) { cast_elements(k.in.as<decltype(in)>(), k.out.as<decltype(out)>(), k.in.elems()); });
  });
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(cast_all);
}  // namespace cpu

void cast(const Cast& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(cast_all)(k);
}
}  // namespace trireme
#endif
