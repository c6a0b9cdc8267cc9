#include "launch/train/sample_text.h"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;

TEST_CASE("print_sample: tokens below 256 are bytes, others are shown as <id> and said to be") {
  CHECK(print_sample(std::vector<int>{'a', 195, 164}) == "sample:\na\xc3\xa4");
  const std::string text = print_sample(std::vector<int>{'a', 258, 'b', 50000});
  CHECK_THAT(text, Catch::EndsWith("\na<258>b<50000>"));
  CHECK_THAT(text, Catch::Contains("stand as <id>"));
}
