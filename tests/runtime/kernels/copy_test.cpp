#include "runtime/kernels/copy.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/kernels/cpu/isa.h"
#include "runtime/kernels/cpu/simd/streaming.h"

#include <catch2/catch.hpp>

namespace trireme {

TEST_CASE("copy_bytes: every byte and no other, at any size and alignment", "[kernels]") {
  const Bytes large = 2 * MiB;
  REQUIRE(cpu::is_worth_streaming(large));
  REQUIRE_FALSE(cpu::is_worth_streaming(large - 1));
  std::vector<unsigned char> from(static_cast<std::size_t>(large) + 400), to(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 31 + i / 251);
  for (const cpu::Isa isa : cpu::all_isas) {
    if (isa < cpu::detect_isa()) continue;
    cpu::select_isa(isa);
    for (const Bytes bytes : {Bytes{0}, Bytes{1}, Bytes{63}, Bytes{1000}, large - 1, large, large + 1, large + 77})
      for (const auto& [to_offset, from_offset] : {std::pair{0, 0}, {1, 0}, {0, 3}, {63, 64}, {64, 1}}) {
        std::fill(to.begin(), to.end(), 0xa5);
        copy_bytes(to.data() + to_offset, from.data() + from_offset, bytes);
        const auto begin = to.begin() + to_offset, end = begin + bytes;
        INFO(bytes << " bytes, offsets " << to_offset << ", " << from_offset << " on " << cpu::name(isa));
        CHECK(std::equal(begin, end, from.begin() + from_offset));
        CHECK(std::all_of(to.begin(), begin, [](unsigned char x) { return x == 0xa5; }));
        CHECK(std::all_of(end, to.end(), [](unsigned char x) { return x == 0xa5; }));
      }
  }
  cpu::select_isa(cpu::detect_isa());
}

}  // namespace trireme
