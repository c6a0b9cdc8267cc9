#include "launch/plan/memory_report.h"

#include <catch2/catch.hpp>

#include <vector>

#include "launch/plan/process_memory.h"

using namespace trireme;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("print_memory: the node's sum and the rank farthest from its plan") {
  const std::vector<RankMemory> ranks = {
      {0, "a", 100 * MiB, 101 * MiB}, {0, "a", 100 * MiB, 90 * MiB}, {0, "a", 200 * MiB, 205 * MiB}};
  const std::string text = print_memory(ranks);
  CAPTURE(text);
  CHECK(
      has(text, "memory of rank 1: planned 100.00 MiB (104857600 bytes), measured 90.00 MiB (94371840 bytes), -10.0%"));
  CHECK(has(text,
            "memory of node a: planned 400.00 MiB (419430400 bytes), measured 396.00 MiB (415236096 bytes), -1.0%"));
  CHECK_FALSE(has(text, "warning"));
}

TEST_CASE("print_memory: warns beyond 2% and 32 MiB a rank, both ways, of the nodes concerned") {
  const Bytes planned = 10 * GiB;
  const auto text_of = [&](Bytes measured) {
    return print_memory(
        std::vector<RankMemory>{{0, "a", planned, measured}, {0, "a", planned, planned}, {2, "b", planned, planned}});
  };
  // The bound of 2 ranks near 10 GiB each: 2% of what they held and 64 MiB.
  const Bytes more = (2 * planned / 50 + 64 * MiB) * 50 / 49;
  CHECK_FALSE(has(text_of(planned + more - MiB), "warning"));
  CHECK(has(text_of(planned + more + MiB), "warning: the 2 ranks of node a held"));
  CHECK(has(text_of(planned + more + MiB), "more than planned"));
  const Bytes less = (2 * planned / 50 + 64 * MiB) * 50 / 51;
  CHECK_FALSE(has(text_of(planned - less + MiB), "warning"));
  CHECK(has(text_of(planned - less - MiB), "less than planned"));
  CHECK_FALSE(has(text_of(planned - less - MiB), "node b"));
}

TEST_CASE("print_memory: nodes of one name are not one node") {
  // The one has what the other lacks.
  const std::string text = print_memory(std::vector<RankMemory>{{0, "a", GiB, 2 * GiB}, {1, "a", 2 * GiB, GiB}});
  CHECK(has(text, "warning: the 1 ranks of node a held 1.00 GiB more"));
  CHECK(has(text, "warning: the 1 ranks of node a held 1.00 GiB less"));
}

TEST_CASE("peak_process_bytes: what was held and let go still counts") {
  constexpr Bytes bytes = 64 * MiB;
  const Bytes before = peak_process_bytes();
  REQUIRE(before > 0);
  {
    const std::vector<char> held(static_cast<std::size_t>(bytes), 1);
    CHECK(peak_process_bytes() >= before + bytes - MiB);
  }
  give_back_free_heap();
  CHECK(peak_process_bytes() >= before + bytes - MiB);
  CHECK(peak_process_bytes() <= before + bytes + bytes / 4);
}
