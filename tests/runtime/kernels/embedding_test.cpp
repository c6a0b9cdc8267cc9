#include "runtime/kernels/embedding.h"

#include "runtime/base/random.h"
#include "tests/reference/bias.h"
#include "tests/reference/embedding.h"
#include "tests/runtime/kernels/every_way.h"

namespace trireme {
namespace {

GuardedTensor random_ids(std::uint64_t seed, Elems count, Elems rows) {
  GuardedTensor ids(DType::i32, count);
  const Random random(seed, "ids");
  for (Elems n = 0; n < count; ++n)
    ids.set(n, static_cast<double>(random.below(static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(rows))));
  return ids;
}

struct Shape {
  Elems tokens, vocabulary, places, channels;
};
// More tokens than rows, more rows than tokens, more positions than tokens of the vocabulary, one of everything.
constexpr Shape shapes[] = {{1, 1, 1, 1},  {1, 5, 9, 7},      {7, 3, 50, 15},   {61, 200, 61, 16}, {61, 5, 13, 17},
                            {2, 7, 1, 33}, {127, 31, 64, 90}, {61, 11, 7, 384}, {13, 5, 100, 769}};

void check_forward(DType type, const Shape& s, bool positional) {
  const GuardedTensor tokens = random_ids(1, s.tokens, s.vocabulary), positions = random_ids(2, s.tokens, s.places);
  GuardedTensor token_table(type, s.vocabulary, s.channels, 1), position_table(type, s.places, s.channels, 2);
  token_table.randomize(3), position_table.randomize(4);
  GuardedTensor out(type, s.tokens, s.channels, 3), expected(type, s.tokens, s.channels, 3);
  run_every_way({&out}, [&] {
    embedding_forward({.tokens = tokens,
                       .positions = positional ? ConstView(positions) : ConstView(),
                       .token_table = token_table,
                       .position_table = positional ? ConstView(position_table) : ConstView(),
                       .out = out});
  });
  for (Elems n = 0; n < s.tokens; ++n)
    for (Elems c = 0; c < s.channels; ++c) {
      const auto token = static_cast<float>(token_table.at(static_cast<Elems>(tokens.at(n)), c));
      const auto place = static_cast<float>(position_table.at(static_cast<Elems>(positions.at(n)), c));
      expected.set(n, c, positional ? token + place : token);
    }
  CHECK(out.bytes() == expected.bytes());
}

GuardedTensor expected_table(const GuardedTensor& ids, const GuardedTensor& d_out, DType type, Elems rows) {
  GuardedTensor table(type, rows, d_out.cols(), 1);
  for (Elems row = 0; row < rows; ++row) {
    const auto places = reference::places_of(ids, row);
    for (Elems c = 0; c < d_out.cols(); ++c) table.set(row, c, reference::column_chain(d_out, c, places));
  }
  return table;
}

void check_backward(DType type, DType gradient_type, const Shape& s, bool positional) {
  const GuardedTensor tokens = random_ids(1, s.tokens, s.vocabulary), positions = random_ids(2, s.tokens, s.places);
  GuardedTensor d_out(type, s.tokens, s.channels, 3);
  d_out.randomize(5);
  GuardedTensor d_token(gradient_type, s.vocabulary, s.channels, 1), d_position(gradient_type, s.places, s.channels, 1);
  const Bytes workspace_bytes = embedding_backward_workspace_bytes(s.tokens, std::max(s.vocabulary, s.places));
  GuardedTensor scratch(DType::i32, workspace_bytes / 4);
  const View workspace(scratch.view().data, DType::byte, workspace_bytes);
  run_every_way({&d_token, &d_position}, [&] {
    embedding_backward({.tokens = tokens,
                        .positions = positional ? ConstView(positions) : ConstView(),
                        .d_out = d_out,
                        .d_token_table = d_token,
                        .d_position_table = positional ? View(d_position) : View(),
                        .workspace = workspace});
  });
  CHECK(scratch.guards_intact());
  CHECK(d_token.bytes() == expected_table(tokens, d_out, gradient_type, s.vocabulary).bytes());
  if (positional) CHECK(d_position.bytes() == expected_table(positions, d_out, gradient_type, s.places).bytes());
}

}  // namespace

TEST_CASE("embedding: forward is the row, or the sum of two rounded once, bit for bit everywhere", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (const Shape& shape : shapes)
      for (bool positional : {false, true}) check_forward(type, shape, positional);
}

TEST_CASE("embedding: a gradient row is one f32 chain over its places in order, unused rows are zero", "[kernels]") {
  for (DType type : {DType::bf16, DType::f32})
    for (DType gradient_type : {DType::bf16, DType::f32})
      for (const Shape& shape : shapes)
        for (bool positional : {false, true}) check_backward(type, gradient_type, shape, positional);
}

TEST_CASE("embedding: the gradient is the transpose of the forward formula", "[kernels]") {
  // sum(d_out * forward(tables)) is linear in the tables, so it equals sum(gradient * tables); all values are small
  // integers, so nothing rounds.
  const GuardedTensor tokens = random_ids(8, 37, 5), positions = random_ids(9, 37, 40);
  GuardedTensor table(DType::f32, 5, 17), places(DType::f32, 40, 17), d_out(DType::f32, 37, 17),
      out(DType::f32, 37, 17);
  GuardedTensor d_table(DType::f32, 5, 17), d_places(DType::f32, 40, 17), scratch(DType::i32, 41 + 37);
  for (GuardedTensor* t : {&table, &places, &d_out})
    for (Elems i = 0; i < t->rows() * t->cols(); ++i) t->set(i, static_cast<double>(i * i % 13 - 6));
  embedding_forward(
      {.tokens = tokens, .positions = positions, .token_table = table, .position_table = places, .out = out});
  embedding_backward({.tokens = tokens,
                      .positions = positions,
                      .d_out = d_out,
                      .d_token_table = d_table,
                      .d_position_table = d_places,
                      .workspace = scratch});
  const auto dot = [](const GuardedTensor& a, const GuardedTensor& b) {
    double total = 0;
    for (Elems i = 0; i < a.rows() * a.cols(); ++i) total += a.at(i) * b.at(i);
    return total;
  };
  CHECK(dot(d_out, out) == dot(d_table, table) + dot(d_places, places));
}

TEST_CASE("embedding: an id outside its table, or a workspace for the smaller table, is refused", "[kernels]") {
  GuardedTensor tokens(DType::i32, 2), positions(DType::i32, 2), table(DType::f32, 4, 8), places(DType::f32, 9, 8);
  GuardedTensor d_out(DType::f32, 2, 8), scratch(DType::i32, 4 + 1 + 2);
  positions.set(0, 0), positions.set(1, 8);
  for (int bad : {-1, 4}) {
    tokens.set(0, 3), tokens.set(1, bad);
    CHECK_THROWS_AS(embedding_forward({.tokens = tokens, .token_table = table, .out = d_out}), Error);
    CHECK_THROWS_AS(
        embedding_backward({.tokens = tokens, .d_out = d_out, .d_token_table = table, .workspace = scratch}), Error);
  }
  tokens.set(1, 0);
  d_out.randomize(1);
  CHECK_NOTHROW(embedding_backward({.tokens = tokens, .d_out = d_out, .d_token_table = table, .workspace = scratch}));
  CHECK_THROWS_AS(embedding_backward({.tokens = tokens,
                                      .positions = positions,
                                      .d_out = d_out,
                                      .d_token_table = table,
                                      .d_position_table = places,
                                      .workspace = scratch}),
                  Error);
}

}  // namespace trireme
