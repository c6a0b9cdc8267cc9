#pragma once
// What a kernel was handed, compared with its contract before any thread starts: a body of for_each_block may not
// throw.

#include "runtime/base/tensor_view.h"

namespace trireme::cpu {

/// Errors: bug unless `view` is rows x cols of `type`. `what` names kernel and view.
inline void check_matrix(const char* what, const ConstView& view, DType type, Elems rows, Elems cols) {
  ensure(view.type == type && view.rows == rows && view.cols == cols, "{} is {} [{},{}], not {} [{},{}]", what,
         name(view.type), view.rows, view.cols, name(type), rows, cols);
}

/// Errors: bug unless `view` has `elems` contiguous elements of `type`.
inline void check_vector(const char* what, const ConstView& view, DType type, Elems elems) {
  ensure(view.type == type && view.elems() == elems && view.contiguous(), "{} is {} [{},{}], not {} [{}]", what,
         name(view.type), view.rows, view.cols, name(type), elems);
}

}  // namespace trireme::cpu
