#pragma once

#include "runtime/base/dtype.h"
#include "runtime/kernels/product_order.h"

namespace trireme::cpu {

/// Multiply-adds per second times two, of one thread on active_isa(), from registers alone: what no kernel can exceed.
/// Measured for about 20 ms. `type`: f32, or bf16 in the given order, by what the instruction set has for it.
double register_peak_flops(DType type, ProductOrder order);

}  // namespace trireme::cpu
