#include "shard/state_hash.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <utility>

using namespace trireme;

namespace {

const UnitSpec units[] = {
    {.name = "block", .tensors = {{.name = "gain", .cols = 48}, {.name = "weight", .rows = 50, .cols = 50}}},
    {.name = "head", .tensors = {{.name = "norm", .cols = 48}}}};

/// The whole flat buffers of the two units, as one rank would have them: a value per element, padding zero.
std::vector<std::vector<float>> flat_buffers() {
  std::vector<std::vector<float>> flat;
  for (const UnitSpec& unit : units) {
    const FlatLayout layout(unit, 1);
    flat.emplace_back(static_cast<std::size_t>(layout.full_elems()));
    for (std::size_t t = 0; t < unit.tensors.size(); ++t)
      for (Elems i = 0; i < layout.tensor_elems[t]; ++i)
        flat.back()[static_cast<std::size_t>(layout.tensor_begin[t] + i)] =
            static_cast<float>(i * 3 + static_cast<Elems>(t));
  }
  return flat;
}

std::uint64_t hash_on(int ranks, const std::vector<std::vector<float>>& flat) {
  std::vector<std::vector<std::vector<std::uint64_t>>> by_rank;
  for (int rank = 0; rank < ranks; ++rank) {
    by_rank.emplace_back();
    for (std::size_t u = 0; u < flat.size(); ++u) {
      const FlatLayout layout(units[u], ranks);
      std::vector<float> whole = flat[u];
      whole.resize(static_cast<std::size_t>(layout.full_elems()));
      by_rank.back().emplace_back();
      hash_blocks(layout, rank, ConstView(whole.data() + rank * layout.slice_elems, DType::f32, layout.slice_elems),
                  by_rank.back().back());
    }
  }
  return combine_hashes(by_rank);
}

void flip_lowest_bit(float& x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits ^= 1;
  std::memcpy(&x, &bits, sizeof bits);
}

}  // namespace

TEST_CASE("the hash of a state does not depend on the number of ranks") {
  const std::uint64_t expected = hash_on(1, flat_buffers());
  for (const int ranks : {2, 3, 4, 5, 7, 8, 64}) {
    CAPTURE(ranks);
    CHECK(hash_on(ranks, flat_buffers()) == expected);
  }
}

TEST_CASE("the hash of a state changes with one bit of any element, and not with padding") {
  const std::uint64_t expected = hash_on(2, flat_buffers());
  for (std::size_t u = 0; u < 2; ++u) {
    const FlatLayout layout(units[u], 1);
    std::vector<bool> is_element(static_cast<std::size_t>(layout.full_elems()));
    for (std::size_t t = 0; t < units[u].tensors.size(); ++t)
      for (Elems i = 0; i < layout.tensor_elems[t]; ++i)
        is_element[static_cast<std::size_t>(layout.tensor_begin[t] + i)] = true;
    std::vector<std::vector<float>> flat = flat_buffers();
    for (std::size_t i = 0; i < is_element.size(); ++i) {
      flip_lowest_bit(flat[u][i]);
      if ((hash_on(2, flat) != expected) != is_element[i]) FAIL("unit " << u << ", element " << i);
      flip_lowest_bit(flat[u][i]);
    }
  }
}

TEST_CASE("the hash of a state changes where two blocks, two tensors or two buffers change places") {
  const std::vector<std::vector<float>> flat = flat_buffers();
  const std::uint64_t expected = hash_on(2, flat);
  std::vector<std::vector<float>> blocks = flat;
  std::swap_ranges(blocks[0].begin() + 1024, blocks[0].begin() + 2048, blocks[0].begin() + 2048);
  CHECK(hash_on(2, blocks) != expected);
  std::vector<std::vector<float>> tensors = flat;  // the unit's gain and the head's norm
  tensors[0][0] = 5;
  std::swap_ranges(tensors[0].begin(), tensors[0].begin() + 48, tensors[1].begin());
  std::vector<std::vector<float>> changed = flat;
  changed[0][0] = 5;
  CHECK(hash_on(2, tensors) != hash_on(2, changed));
}
