#pragma once

#include "runtime/base/dtype.h"

namespace trireme::cpu {

/// Multiply-adds per second times two, of one thread on active_isa(), from registers alone: what no kernel can exceed.
/// Measured for about 20 ms. `type`: bf16 products (where the instruction set has them) or f32.
double register_peak_flops(DType type);

}  // namespace trireme::cpu
