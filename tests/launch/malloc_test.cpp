// No tensor-sized allocation after start-up: counts every malloc over 4 KiB on threads that execute ops.

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/support/local_run.h"

namespace {

std::atomic<bool> counting = false;
std::atomic<int> large = 0;
thread_local bool executes_ops = false;

void count(std::size_t bytes) {
  if (bytes > 4096 && executes_ops && counting.load(std::memory_order_relaxed)) ++large;
}

}  // namespace

// operator new ends here, too.
extern "C" void* __libc_malloc(std::size_t bytes);
extern "C" void* malloc(std::size_t bytes) noexcept {
  count(bytes);
  return __libc_malloc(bytes);
}

using namespace trireme;
using namespace trireme::test;

namespace {

// Allocations over 4 KiB of a run from step 2 on; where `planted`, each op that is looked at makes one.
int large_allocations(const TrainerSettings& settings, bool planted) {
  large = 0;
  const auto mark = [planted](OpTable& table, int rank) {
    for (const OpKind kind : {OpKind::gather, OpKind::step_values}) {
      const Handler handler = table.find(kind);
      table.set(kind, [handler, rank, planted](const OpContext& context) {
        executes_ops = true;
        if (rank == 0 && context.op().kind == OpKind::step_values) {
          static thread_local int step = 0;
          counting = step++ >= 2;
        }
        if (planted) {
          void* volatile memory = ::operator new(5000);  // volatile: no pair is optimised away
          ::operator delete(memory);
        }
        handler(context);
      });
    }
  };
  train_locally(settings, {.ranks = 3, .edit_table = mark}, 6);
  counting = false;
  return large;
}

}  // namespace

TEST_CASE("no allocation over 4 KiB on compute and comm threads from step 2 on") {
  TrainerSettings settings = tiny_settings(GENERATE(Family::gpt2, Family::llama), DType::bf16, DType::bf16);
  settings.spec.recompute = Recompute::block;
  CHECK(large_allocations(settings, false) == 0);
  CHECK(large_allocations(settings, true) > 0);  // the count sees them
}
