#pragma once
// From a runtime type to a template argument.

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"

namespace trireme::cpu {

/// Calls body(T()) with T = bf16 or float. Errors: bug for any other type.
template <typename Body>
void with_type(DType type, Body&& body) {
  if (type == DType::bf16)
    body(bf16());
  else if (type == DType::f32)
    body(float());
  else
    throw Error(ErrorKind::bug, fmt::format("a kernel has no version for {}", name(type)));
}

/// Threads cut element-wise work here; a multiple of every vector width and of a cache line.
inline constexpr Elems elementwise_block = 16 * 1024;

}  // namespace trireme::cpu
