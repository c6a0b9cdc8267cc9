#pragma once
// Views: pointer, type and extent together, so that no kernel is ever handed a bare length.

#include <cstddef>
#include <type_traits>

#include "runtime/base/dtype.h"
#include "runtime/base/error.h"

namespace trireme {

/// Memory of `rows` x `cols` elements of one type. Elements of a row are contiguous; row r starts at
/// r * row_stride elements. A vector [C] is one row. Owns nothing. `Pointer` is void* or const void*.
template <typename Pointer>
struct BasicView {
  Pointer data = nullptr;
  DType type = DType::byte;
  Elems rows = 0, cols = 0, row_stride = 0;

  BasicView() = default;
  BasicView(Pointer start, DType dtype, Elems width) : BasicView(start, dtype, 1, width, width) {}
  BasicView(Pointer start, DType dtype, Elems height, Elems width) : BasicView(start, dtype, height, width, width) {}
  BasicView(Pointer start, DType dtype, Elems height, Elems width, Elems stride)
      : data(start), type(dtype), rows(height), cols(width), row_stride(stride) {}
  /// A view to write is a view to read.
  template <typename Other>
  BasicView(const BasicView<Other>& other)
      : BasicView(other.data, other.type, other.rows, other.cols, other.row_stride) {}

  bool empty() const { return data == nullptr || rows == 0 || cols == 0; }
  Elems elems() const { return rows * cols; }
  Bytes bytes() const { return elems() * size_bytes(type); }
  bool contiguous() const { return row_stride == cols || rows <= 1; }

  /// The elements as T. Errors: bug when T is not the view's type.
  template <typename T>
  auto as() const {
    ensure(type == dtype_of<T>::value, "a view of {} was read as another type", name(type));
    if constexpr (std::is_const_v<std::remove_pointer_t<Pointer>>)
      return static_cast<const T*>(data);
    else
      return static_cast<T*>(data);
  }

  /// Row `row`, as a vector.
  BasicView row(Elems index) const { return rows_from(index, 1); }
  /// Rows [first, first + count).
  BasicView rows_from(Elems first, Elems count) const {
    return {offset(first * row_stride), type, count, cols, row_stride};
  }
  /// Columns [first, first + count) of every row.
  BasicView cols_from(Elems first, Elems count) const { return {offset(first), type, rows, count, row_stride}; }
  /// The same contiguous elements as rows x cols.
  BasicView reshape(Elems new_rows, Elems new_cols) const {
    ensure(contiguous() && new_rows * new_cols == elems(), "reshape of {} elements to {} x {}", elems(), new_rows,
           new_cols);
    return {data, type, new_rows, new_cols};
  }

 private:
  Pointer offset(Elems distance_elems) const {
    using Byte = std::conditional_t<std::is_const_v<std::remove_pointer_t<Pointer>>, const std::byte, std::byte>;
    return static_cast<Byte*>(data) + distance_elems * size_bytes(type);
  }
};

using View = BasicView<void*>;
using ConstView = BasicView<const void*>;

}  // namespace trireme
