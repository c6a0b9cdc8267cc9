#include "shard/flat_layout.h"

#include <catch2/catch.hpp>

#include "tests/shard/random_spec.h"

using namespace trireme;
using trireme::test::RandomSpec;

namespace {

const UnitSpec unit{.name = "block",
                    .tensors = {{.name = "gain", .cols = 48},
                                {.name = "weight", .rows = 50, .cols = 50},
                                {.name = "exact", .rows = 2, .cols = 1024}}};

}  // namespace

TEST_CASE("FlatLayout: tensors start at multiples of 1,024, slices are whole blocks, the last may own padding only") {
  const FlatLayout one(unit, 1);
  CHECK(one.tensor_begin == std::vector<Elems>{0, 1024, 4096});
  CHECK(one.tensor_elems == std::vector<Elems>{48, 2500, 2048});
  CHECK(one.slice_elems == 6 * 1024);
  CHECK(FlatLayout(unit, 4).slice_elems == 2 * 1024);
  CHECK(FlatLayout(unit, 4).full_elems() == 8 * 1024);
  CHECK(owned_parts(FlatLayout(unit, 4), 3).empty());
  CHECK(FlatLayout(unit, 1000).slice_elems == 1024);
}

TEST_CASE("FlatLayout: offsets of tensors do not depend on the number of ranks") {
  for (std::uint32_t seed = 0; seed < 50; ++seed)
    for (const UnitSpec& any : RandomSpec(seed).model(3).units)
      for (const int ranks : {2, 3, 7, 8, 64, 1000}) {
        CAPTURE(seed, any.name, ranks);
        const FlatLayout one(any, 1), many(any, ranks);
        CHECK(many.tensor_begin == one.tensor_begin);
        CHECK(many.tensor_elems == one.tensor_elems);
        CHECK(many.full_elems() >= one.full_elems());
        CHECK(many.full_elems() < one.full_elems() + ranks * block_elems);
      }
}

TEST_CASE("owned_parts: the parts of all ranks, in order, are every element of every tensor once, and no padding") {
  for (std::uint32_t seed = 0; seed < 50; ++seed)
    for (const UnitSpec& any : RandomSpec(seed).model(3).units)
      for (const int ranks : {1, 2, 3, 5, 8, 100}) {
        CAPTURE(seed, any.name, ranks);
        const FlatLayout layout(any, ranks);
        std::vector<Elems> next(any.tensors.size());  // element of each tensor that must come next
        for (int rank = 0; rank < ranks; ++rank)
          for (const TensorPart& part : owned_parts(layout, rank)) {
            const auto t = static_cast<std::size_t>(part.tensor);
            REQUIRE(part.first == next[t]);
            REQUIRE(part.elems > 0);
            CHECK(part.first % block_elems == 0);
            CHECK(part.in_slice + part.elems <= layout.slice_elems);
            CHECK(rank * layout.slice_elems + part.in_slice == layout.tensor_begin[t] + part.first);
            next[t] += part.elems;
          }
        CHECK(next == layout.tensor_elems);
      }
}
