#include "runtime/kernels/rope.h"

#include "tests/reference/rope.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

struct Turn {
  GuardedTensor x, positions, cosines, sines;
  Elems head_dim;

  // The heads to turn are the middle columns of a wider matrix, as in a fused qkv.
  Turn(DType type, Elems tokens, Elems heads, Elems width)
      : x(type, tokens, (heads + 2) * width, 3),
        positions(DType::i32, tokens),
        cosines(DType::f32, 97, width / 2, 1),
        sines(DType::f32, 97, width / 2, 2),
        head_dim(width) {
    x.randomize(1);
    for (Elems n = 0; n < tokens; ++n) positions.set(n, static_cast<double>((n * 29 + 5) % 97));
    rope_table({.cosines = cosines, .sines = sines, .head_dim = width, .theta = 10000});
  }
  void run(RopeDirection direction) {
    rope({.x = x.view().cols_from(head_dim, x.cols() - 2 * head_dim),
          .positions = positions,
          .cosines = cosines,
          .sines = sines,
          .head_dim = head_dim,
          .direction = direction});
  }
};

void check(DType type, Elems tokens, Elems heads, Elems head_dim, RopeDirection direction) {
  Turn k(type, tokens, heads, head_dim);
  const GuardedTensor before = k.x;
  run_every_way({&k.x}, [&] { k.run(direction); });
  std::vector<reference::Bounded> expected;
  for (Elems n = 0; n < tokens; ++n)
    for (Elems c = 0; c < k.x.cols(); ++c) {
      const Elems i = c % head_dim % (head_dim / 2), head = c - c % head_dim,
                  position = static_cast<Elems>(k.positions.at(n));
      const double low = before.at(n, head + i), high = before.at(n, head + i + head_dim / 2);
      const double cosine = k.cosines.at(position, i);
      const double sine = k.sines.at(position, i) * (direction == RopeDirection::forward ? 1 : -1);
      const bool turned = head >= head_dim && head < (heads + 1) * head_dim;
      if (!turned)
        expected.push_back({before.at(n, c)});
      else if (c % head_dim < head_dim / 2)
        expected.push_back(reference::rope_low(low, high, cosine, sine));
      else
        expected.push_back(reference::rope_high(low, high, cosine, sine));
    }
  reference::require_close(k.x.values(), expected, type);
}

void check_table(Elems positions, Elems head_dim, double theta, const RopeScaling& scaling) {
  GuardedTensor cosines(DType::f32, positions, head_dim / 2, 1), sines(DType::f32, positions, head_dim / 2);
  rope_table({.cosines = cosines, .sines = sines, .head_dim = head_dim, .theta = theta, .scaling = scaling});
  REQUIRE(cosines.guards_intact());
  REQUIRE(sines.guards_intact());
  std::vector<reference::Bounded> cosine, sine;
  for (Elems t = 0; t < positions; ++t)
    for (Elems i = 0; i < head_dim / 2; ++i) {
      const long double angle = static_cast<long double>(t) * reference::rope_frequency(i, head_dim, theta, scaling);
      const double error = reference::rope_angle_error(static_cast<double>(angle), head_dim);
      cosine.push_back({static_cast<double>(std::cos(angle)), error});
      sine.push_back({static_cast<double>(std::sin(angle)), error});
    }
  reference::require_close(cosines.values(), cosine, DType::f32);
  reference::require_close(sines.values(), sine, DType::f32);
}

}  // namespace

TEST_CASE("rope: both directions are within their rounding of double precision, with equal bits everywhere",
          "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (RopeDirection direction : {RopeDirection::forward, RopeDirection::backward})
      for (Elems tokens : {1, 7, 61})
        for (Elems heads : {1, 3})
          for (Elems head_dim : {2, 6, 14, 16, 32, 34, 64, 90, 128}) check(type, tokens, heads, head_dim, direction);
}

TEST_CASE("rope: backward undoes forward, and so is its transpose", "[kernels]") {
  cpu::set_float_mode();
  Turn k(DType::f32, 7, 2, 64);
  const GuardedTensor before = k.x;
  k.run(RopeDirection::forward);
  CHECK(k.x.bytes() != before.bytes());
  k.run(RopeDirection::backward);
  // Two turns of a pair below 8 in size: four roundings each, and tables whose squares sum to 1 within one rounding.
  for (Elems i = 0; i < k.x.rows() * k.x.cols(); ++i)
    CHECK(std::fabs(k.x.at(i) - before.at(i)) <= 8 * 12 * reference::f32_error);
}

TEST_CASE("rope_table: cosines and sines are those of long double, rounded to f32", "[kernels]") {
  const RopeScaling llama_3 = {.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 8192};
  for (Elems head_dim : {2, 6, 64, 90, 128, 256})
    for (double theta : {1.0, 10000.0, 500000.0, 1e6}) check_table(97, head_dim, theta, {});
  check_table(9000, 64, 10000, {});
  check_table(40000, 16, 500000, llama_3);
  check_table(97, 128, 500000, llama_3);
}

TEST_CASE("rope_table: cosines are those that transformers makes in f32, within its rounding", "[kernels]") {
  const RopeScaling llama_31 = {.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 8192};
  const RopeScaling llama_32 = {.factor = 32, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 8192};
  constexpr Elems positions = 4096;
  for (const RopeScaling& scaling : {RopeScaling(), llama_31, llama_32})
    for (Elems head_dim : {30, 64, 128}) {
      GuardedTensor cosines(DType::f32, positions, head_dim / 2), sines(DType::f32, positions, head_dim / 2);
      rope_table({.cosines = cosines, .sines = sines, .head_dim = head_dim, .theta = 500000, .scaling = scaling});
      const double error = reference::rope_frequency_error_of_transformers(500000, scaling);
      for (Elems i = 0; i < head_dim / 2; ++i) {
        const double frequency = reference::rope_frequency_of_transformers(i, head_dim, 500000, scaling);
        for (Elems t = 0; t < positions; t += 61) {
          const double angle = static_cast<double>(t) * frequency;
          const double bound = angle * error + 2 * reference::f32_error;
          CHECK(std::fabs(cosines.at(t, i) - std::cos(angle)) <= bound);
          CHECK(std::fabs(sines.at(t, i) - std::sin(angle)) <= bound);
        }
      }
    }
}

TEST_CASE("rope_table: bits are the same as ever", "[kernels]") {
  // Words of a table made once; another compiler or processor must give them again.
  GuardedTensor cosines(DType::f32, 4096, 32), sines(DType::f32, 4096, 32);
  rope_table({.cosines = cosines, .sines = sines, .head_dim = 64, .theta = 10000});
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const GuardedTensor* table : {&cosines, &sines})
    for (std::byte b : table->bytes()) hash = (hash ^ static_cast<std::uint64_t>(b)) * 1099511628211u;
  CHECK(hash == 13506143568640245590u);
}

TEST_CASE("rope: a position outside the table or an odd head is refused", "[kernels]") {
  Turn k(DType::f32, 3, 1, 8);
  for (int bad : {-1, 97}) {
    k.positions.set(2, bad);
    CHECK_THROWS_AS(k.run(RopeDirection::forward), Error);
  }
  k.positions.set(2, 96);
  CHECK_NOTHROW(k.run(RopeDirection::forward));
  CHECK_THROWS_AS(rope_table({.cosines = k.cosines, .sines = k.sines, .head_dim = 7}), Error);
}

}  // namespace trireme
