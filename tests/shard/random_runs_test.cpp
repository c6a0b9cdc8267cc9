// Random programs on all streams and in all spaces, from their order to their run: whatever derive_events, plan_memory
// and a device make of them, every op reads what it would read one after the other.

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <map>
#include <memory>

#include "runtime/execute/executor.h"
#include "runtime/schedule/check/check.h"
#include "runtime/schedule/per_stream.h"
#include "runtime/schedule/plan/memory_plan.h"
#include "shard/passes/derive_events.h"
#include "tests/runtime/schedule/random_schedule.h"
#include "tests/support/random_cases.h"

using namespace trireme;

namespace {

using Digest = std::uint64_t;

Digest mix(Digest a, Digest b) { return (a ^ (b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccd; }

// What each op sees of its operands, with every buffer in memory of its own.
std::vector<Digest> run_in_order(const Schedule& s) {
  std::vector<Digest> values(s.buffers.size()), seen;
  for (std::size_t op = 0; op < s.ops.size(); ++op) {
    Digest digest = op + 1;
    for (const BufferId b : s.ops[op].reads())
      if (s.buffers[static_cast<std::size_t>(b)].elems > 0) digest = mix(digest, values[static_cast<std::size_t>(b)]);
    for (const BufferId b : s.ops[op].writes()) values[static_cast<std::size_t>(b)] = digest;
    seen.push_back(digest);
  }
  return seen;
}

// Fills a buffer with a digest, and finds it in all of it.
void fill(const View& view, Digest digest) {
  for (Bytes at = 0; at < view.bytes(); at += static_cast<Bytes>(sizeof(digest)))
    std::memcpy(static_cast<std::byte*>(view.data) + at, &digest, sizeof(digest));
}
Digest find(const View& view) {
  Digest first = 0, other = 0;
  std::memcpy(&first, view.data, sizeof(first));
  for (Bytes at = 0; at < view.bytes(); at += static_cast<Bytes>(sizeof(first))) {
    std::memcpy(&other, static_cast<const std::byte*>(view.data) + at, sizeof(other));
    if (other != first) return ~first;
  }
  return first;
}

void run_and_compare(const Schedule& s, const MemoryPlan& plan, Device& device) {
  const auto allocate = [&](const ArenaPlan& arena) {
    const Bytes bytes = std::max<Bytes>(arena.peak_bytes, 256);
    return std::span(device.allocate(bytes), static_cast<std::size_t>(bytes));
  };
  const Arenas arenas{allocate(plan.device), allocate(plan.host), allocate(plan.disk)};
  std::vector<Digest> seen(s.ops.size());
  OpTable table;
  for (int kind = 0; kind < op_kind_count; ++kind)
    table.set(static_cast<OpKind>(kind), [&](const OpContext& context) {
      Digest digest = static_cast<Digest>(context.id) + 1;
      for (const BufferId b : context.op().reads())
        if (context.buffer(b).elems > 0) digest = mix(digest, find(context.view(b)));
      for (const BufferId b : context.op().writes())
        if (context.buffer(b).elems > 0) fill(context.view(b), digest);
      seen[static_cast<std::size_t>(context.id)] = digest;
    });
  Executor executor(device, arenas, std::array{&s}, table, {});
  executor.run(0);
  executor.wait();
  CHECK(seen == run_in_order(s));
}

}  // namespace

TEST_CASE("random programs on four streams in three spaces pass check, and run as one after the other", "[shard]") {
  PerStream<int> on_stream;
  std::map<Space, int> in_space;
  for (std::uint64_t seed = 0; seed < (is_sanitized ? 40u : 100u); ++seed) {
    CAPTURE(seed);
    Schedule s = derive_events(RandomSchedule(seed).build_order(40));
    const MemoryPlan plan = plan_memory(std::array<const Schedule*, 1>{&s}, INT64_MAX);
    apply(plan, 0, s);
    const auto problem = check_sequence(std::array<const Schedule*, 1>{&s});
    INFO((problem ? problem->message : ""));
    REQUIRE_FALSE(problem);
    REQUIRE(is_valid(s));
    for (const Op& op : s.ops) ++on_stream[op.stream];
    for (const Buffer& buffer : s.buffers) in_space[buffer.space] += buffer.elems > 0;
    run_and_compare(s, plan, *make_cpu_device(stream_count, 1));
    run_and_compare(s, plan, *make_checked_device(stream_count, 1, {.seed = seed, .max_delay_us = 50}));
  }
  for (const int ops : on_stream) CHECK(ops > 50);
  for (const auto& [space, buffers] : in_space) CHECK(buffers > 50);
  CHECK(in_space.size() == static_cast<std::size_t>(space_count));
}

TEST_CASE("derive_events: of random programs no wait is there in vain, and each that is removed leaves a conflict",
          "[shard]") {
  int removed = 0;
  for (std::uint64_t seed = 100; seed < 150; ++seed) {
    const Schedule s = derive_events(RandomSchedule(seed).build_order(40));
    for (std::size_t op = 0; op < s.ops.size(); ++op)
      for (std::size_t wait = 0; wait < s.ops[op].waits.size(); ++wait) {
        CAPTURE(seed, op, wait);
        Schedule changed = s;
        changed.ops[op].waits.erase(changed.ops[op].waits.begin() + static_cast<std::ptrdiff_t>(wait));
        REQUIRE_FALSE(is_valid(changed));
        REQUIRE(check_sequence(std::array<const Schedule*, 1>{&changed}));
        ++removed;
      }
  }
  CHECK(removed >= 1000);
}
