#pragma once
// Contents that are functions of (seed, rank, element), so that each rank knows what all ranks hold.

#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/base/tensor_view.h"
#include "runtime/schedule/op.h"

namespace trireme::test {

/// Element `i` of what rank `rank` holds under `seed`: exponents far apart, so that a changed order changes bits.
inline float value_at(std::uint64_t seed, int rank, Elems i) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(rank) * 0xbf58476d1ce4e5b9u +
                    static_cast<std::uint64_t>(i) * 0x94d049bb133111ebu;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  x ^= x >> 32;
  if (x % 64 == 0) return -0.0f;
  const auto mantissa = static_cast<float>(static_cast<std::int32_t>(x & 0xffffff) - 0x800000);
  return std::ldexp(mantissa, static_cast<int>((x >> 24) % 12) - 30);
}

/// Memory of a test in which ranks read each other's: where a rank fails, its peers may still read what it exported, so
/// nothing is freed before all have ended.
class TestMemory {
 public:
  /// From now on memory comes from there: what ranks as processes share.
  static void take_from(std::byte* memory, Bytes bytes) { shared = memory, shared_bytes = bytes, taken = 0; }
  static std::byte* take(Bytes bytes) {
    const std::lock_guard lock(mutex);
    if (!shared) return blocks.emplace_back(static_cast<std::size_t>(bytes)).data();
    const Bytes begin = std::exchange(taken, align_up(taken + bytes, 64));
    ensure(taken <= shared_bytes, "a test takes more than {} bytes", shared_bytes);
    return shared + begin;
  }
  static void free_all() { blocks.clear(), taken = 0; }

 private:
  static inline std::mutex mutex;
  static inline std::deque<std::vector<std::byte>> blocks;
  static inline std::byte* shared = nullptr;
  static inline Bytes shared_bytes = 0, taken = 0;
};

/// A buffer of elements of one type.
class Tensor {
 public:
  Tensor(DType type, Elems elems) : type_(type), elems_(elems), data_(TestMemory::take(elems * size_bytes(type) + 1)) {}

  /// Fills [0, elems) with the values of elements first, first + 1, ...
  void fill(std::uint64_t seed, int rank, Elems first) {
    for (Elems i = 0; i < elems_; ++i) set(i, value_at(seed, rank, first + i));
  }
  void poison() { std::memset(data_, 0xff, static_cast<std::size_t>(elems_ * size_bytes(type_))); }
  void set(Elems i, float value) {
    if (type_ == DType::bf16)
      view().as<bf16>()[i] = to_bf16(value);
    else
      view().as<float>()[i] = value;
  }
  float get(Elems i) const {
    return type_ == DType::bf16 ? to_f32(ConstView(view()).as<bf16>()[i]) : ConstView(view()).as<float>()[i];
  }
  View view() const { return {data_, type_, elems_}; }
  Elems elems() const { return elems_; }

 private:
  DType type_;
  Elems elems_;
  std::byte* data_;
};

inline float round_to(DType type, float value) { return type == DType::bf16 ? to_f32(to_bf16(value)) : value; }
inline bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

/// Choices that all ranks make alike.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed, "choices of a test") {}
  Elems between(Elems low, Elems high) {
    return low + static_cast<Elems>(random_.below(count_++, static_cast<std::uint64_t>(high - low + 1)));
  }
  bool coin() { return between(0, 1) == 1; }
  /// Some of the ranks, at least one, in random order.
  std::vector<int> some_ranks(int size) {
    std::vector<int> ranks;
    for (int rank = 0; rank < size; ++rank)
      ranks.insert(ranks.begin() + between(0, static_cast<Elems>(ranks.size())), rank);
    ranks.resize(static_cast<std::size_t>(coin() ? size : between(1, size)));
    return ranks;
  }
  /// A part of a flat buffer of `size` slices.
  FlatRange range(int size, Elems slice_elems) {
    const Elems all = size * slice_elems;
    if (between(0, 3) == 0) return {0, all, slice_elems};
    const Elems begin = between(0, all - 1);
    return {begin, between(1, all - begin), slice_elems};
  }

 private:
  Random random_;
  std::uint64_t count_ = 0;
};

}  // namespace trireme::test
