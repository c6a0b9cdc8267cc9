#pragma once

#include <array>
#include <cstddef>

#include "runtime/schedule/op.h"

namespace trireme {

/// One value for each stream.
template <typename T>
class PerStream {
 public:
  constexpr PerStream() = default;
  constexpr explicit PerStream(const T& everywhere) { values_.fill(everywhere); }

  constexpr T& operator[](StreamId stream) { return values_[static_cast<std::size_t>(stream)]; }
  constexpr const T& operator[](StreamId stream) const { return values_[static_cast<std::size_t>(stream)]; }

  constexpr auto begin() { return values_.begin(); }
  constexpr auto end() { return values_.end(); }
  constexpr auto begin() const { return values_.begin(); }
  constexpr auto end() const { return values_.end(); }

 private:
  std::array<T, stream_count> values_{};
};

/// Per stream an op, or -1 where there is none.
using OpPerStream = PerStream<OpId>;
inline constexpr OpPerStream no_ops(-1);

/// Per stream: how many of its ops, from the first on, are certainly complete.
class VectorClock : public PerStream<std::int32_t> {
 public:
  /// Knows what `other` knows, too.
  constexpr void join(const VectorClock& other) {
    for (const StreamId stream : all_streams)
      if ((*this)[stream] < other[stream]) (*this)[stream] = other[stream];
  }
};

}  // namespace trireme
