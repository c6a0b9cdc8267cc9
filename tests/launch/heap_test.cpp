// What remainder.h says that programs take of the heap, against malloc's own count.

#include <catch2/catch.hpp>

#include <malloc.h>

#include "launch/remainder.h"
#include "tests/launch/local_run.h"

using namespace trireme;
using namespace trireme::test;

TEST_CASE("heap_bytes: a schedule takes what malloc counts for a copy of it") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.model.layers = 20;
  const RankPrograms programs = build_programs(settings, 1, 3);
  const Schedule& step = *programs.run.find("step");
  const auto used = [] {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<Bytes>(info.uordblks + info.hblkhd);
  };
  const Bytes before = used();
  const Schedule copy = step;
  const Bytes taken = used() - before;
  // A large block lies in pages of its own.
  CHECK(std::abs(taken - heap_bytes(copy)) <= taken / 100 + 3 * 4096);
}
