#include "runtime/base/tensor_view.h"

#include <catch2/catch.hpp>

#include <numeric>
#include <type_traits>
#include <vector>

using namespace trireme;

TEST_CASE("BasicView: rows, columns and shapes; a wrong type is our mistake") {
  std::vector<float> memory(24);
  std::iota(memory.begin(), memory.end(), 0.0f);
  const View view(memory.data(), DType::f32, 4, 6);
  CHECK(view.row(2).as<float>()[1] == 13);
  CHECK(view.rows_from(1, 2).rows == 2);
  CHECK(view.cols_from(4, 2).row(3).as<float>()[0] == 22);
  CHECK_FALSE(view.cols_from(4, 2).contiguous());
  CHECK(view.cols_from(4, 2).row(3).contiguous());
  CHECK(view.reshape(8, 3).row(7).as<float>()[2] == 23);
  CHECK(view.elems() == 24);
  CHECK(view.bytes() == 96);
  CHECK_THROWS_AS(view.as<bf16>(), Error);
  CHECK_THROWS_AS(view.reshape(5, 5), Error);
  CHECK_THROWS_AS(view.cols_from(0, 3).reshape(3, 4), Error);
}

TEST_CASE("BasicView: what may be written may be read, not the other way") {
  std::vector<float> memory(6);
  const View view(memory.data(), DType::f32, 6);
  const ConstView read = view;
  CHECK(read.as<float>() == memory.data());
  static_assert(std::is_same_v<decltype(read.as<float>()), const float*>);
  static_assert(std::is_same_v<decltype(view.as<float>()), float*>);
  static_assert(!std::is_convertible_v<ConstView, void*>);
  CHECK(View().empty());
  CHECK(view.cols_from(3, 0).empty());
  CHECK_FALSE(view.empty());
}
