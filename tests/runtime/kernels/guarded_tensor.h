#pragma once
// A tensor among guards: what a kernel reads or writes outside its elements shows.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/base/tensor_view.h"

namespace trireme {

/// Owns rows x cols elements of bf16, f32 or i32 with `gap` unused elements after each row and guards around, one
/// element off any alignment. Every byte starts as 0xff: a NaN, so a read outside the elements spoils a sum, and an
/// element that was never written is not a number.
class GuardedTensor {
 public:
  GuardedTensor(DType type, Elems rows, Elems cols, Elems gap = 0)
      : type_(type),
        rows_(rows),
        cols_(cols),
        stride_(cols + gap),
        bytes_(static_cast<std::size_t>((rows * stride_ + 2 * guard) * size_bytes(type)), blank) {}
  /// A vector [cols].
  GuardedTensor(DType type, Elems cols) : GuardedTensor(type, 1, cols) {}

  View view() { return {start(), type_, rows_, cols_, stride_}; }
  ConstView view() const { return {const_cast<GuardedTensor*>(this)->start(), type_, rows_, cols_, stride_}; }
  operator View() { return view(); }
  operator ConstView() const { return view(); }

  DType type() const { return type_; }
  Elems rows() const { return rows_; }
  Elems cols() const { return cols_; }

  double at(Elems row, Elems col) const {
    const std::byte* from = address(row, col);
    if (type_ == DType::bf16) return to_f32(read<bf16>(from));
    if (type_ == DType::i32) return read<std::int32_t>(from);
    return read<float>(from);
  }
  double at(Elems index) const { return at(index / cols_, index % cols_); }
  /// Rounds to the type.
  void set(Elems row, Elems col, double value) {
    std::byte* to = const_cast<std::byte*>(address(row, col));
    if (type_ == DType::bf16)
      write(to, to_bf16(static_cast<float>(value)));
    else if (type_ == DType::i32)
      write(to, static_cast<std::int32_t>(value));
    else
      write(to, static_cast<float>(value));
  }
  void set(Elems index, double value) { set(index / cols_, index % cols_, value); }

  /// Normal numbers about `mean`; a function of seed and element.
  GuardedTensor& randomize(std::uint64_t seed, double deviation = 1, double mean = 0) {
    const Random random(seed, "guarded tensor");
    for (Elems i = 0; i < rows_ * cols_; ++i) set(i, mean + deviation * random.normal(static_cast<std::uint64_t>(i)));
    return *this;
  }
  void blank_elements() {
    for (Elems row = 0; row < rows_; ++row)
      std::fill_n(const_cast<std::byte*>(address(row, 0)), cols_ * size_bytes(type_), blank);
  }

  /// All elements as doubles, row by row.
  std::vector<double> values() const {
    std::vector<double> all;
    for (Elems i = 0; i < rows_ * cols_; ++i) all.push_back(at(i));
    return all;
  }
  /// Elements, gaps and guards: equal bytes mean equal bits and nothing else touched.
  const std::vector<std::byte>& bytes() const { return bytes_; }
  /// Whether all bytes that are no elements are as they were.
  bool guards_intact() const {
    GuardedTensor copy = *this;
    copy.blank_elements();
    return std::all_of(copy.bytes_.begin(), copy.bytes_.end(), [](std::byte b) { return b == blank; });
  }

 private:
  static constexpr Elems guard = 33;
  static constexpr std::byte blank{0xff};

  void* start() { return bytes_.data() + guard * size_bytes(type_); }
  const std::byte* address(Elems row, Elems col) const {
    return bytes_.data() + (guard + row * stride_ + col) * size_bytes(type_);
  }
  template <typename T>
  static T read(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  }
  template <typename T>
  static void write(std::byte* to, T value) {
    std::memcpy(to, &value, sizeof(T));
  }

  DType type_;
  Elems rows_, cols_, stride_;
  std::vector<std::byte> bytes_;
};

}  // namespace trireme
