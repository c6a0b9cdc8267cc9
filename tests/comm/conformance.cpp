#include "tests/comm/conformance.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "comm/agreement.h"
#include "tests/comm/oracle.h"

namespace trireme::test {

void check(bool holds, const std::string& what) {
  if (!holds) throw Error(ErrorKind::data, what);
}

namespace {

using Clock = std::chrono::steady_clock;

bool contains(std::span<const int> ranks, int rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

/// One shard of a flat buffer, exported by gathers.
struct Shard {
  Shard(int rank, DType type, Elems slice_elems) : memory(type, slice_elems), first(rank * slice_elems) {}
  void write(std::uint64_t version) { memory.fill(version, 0, first); }
  Tensor memory;
  Elems first;
};

/// Gathers, and compares every element with what its owner must have held under `version`.
void gather_and_compare(Communicator& c, const Shard& shard, std::uint64_t version, const FlatRange& range,
                        std::vector<int> to) {
  std::sort(to.begin(), to.end());
  const DType type = shard.memory.view().type;
  const bool receives = contains(to, c.rank());
  Tensor full(type, range.elems + 2);  // one guard on either side
  full.poison();
  const View inner(static_cast<std::byte*>(full.view().data) + size_bytes(type), type, range.elems);
  c.gather({.slice = shard.memory.view(), .range = range, .full = receives ? inner : View(), .to = to});
  if (!receives) return;
  for (Elems i = 0; i < range.elems; ++i) {
    const float expected = round_to(type, value_at(version, 0, range.begin + i));
    check(same_bits(full.get(i + 1), expected),
          fmt::format("gather: element {} of {} is wrong on rank {}", i, range.elems, c.rank()));
  }
  check(std::isnan(full.get(0)) && std::isnan(full.get(range.elems + 1)), "gather wrote outside its range");
}

/// This rank's part of a reduce, against one chain of f32 sums per element.
struct Reduction {
  Reduction(Communicator& communicator, DType wire, const FlatRange& range)
      : c(communicator),
        own(range.owned_by(c.rank())),
        gradient(wire, range.elems),
        accumulator(DType::f32, own.elems),
        staging(wire, own.elems * c.size()),
        expected(static_cast<std::size_t>(own.elems)) {}

  void run(const FlatRange& range, const std::vector<int>& from, bool accumulate, std::uint64_t version) {
    const DType wire = gradient.view().type;
    const bool contributes = contains(from, c.rank());
    if (contributes) gradient.fill(version, c.rank() + 1, range.begin);
    c.reduce({.gradient = contributes ? gradient.view() : View(),
              .range = range,
              .from = from,
              .accumulator = accumulator.view(),
              .accumulate = accumulate,
              .staging = staging.view(),
              .wire = wire});
    for (Elems i = 0; i < own.elems; ++i) {
      float& sum = expected[static_cast<std::size_t>(i)];
      for (std::size_t j = 0; j < from.size(); ++j) {
        const float term = round_to(wire, value_at(version, from[j] + 1, own.begin + i));
        sum = j == 0 && !accumulate ? term : sum + term;
      }
      check(same_bits(accumulator.get(i), sum), fmt::format("reduce: element {} of {} is {:a}, not {:a}, on rank {}", i,
                                                            own.elems, accumulator.get(i), sum, c.rank()));
    }
  }

  Communicator& c;
  FlatRange own;
  Tensor gradient, accumulator, staging;
  std::vector<float> expected;
};

std::vector<int> all_ranks(const Communicator& c) {
  std::vector<int> ranks(static_cast<std::size_t>(c.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

DType any_type(Dice& dice) { return dice.coin() ? DType::bf16 : DType::f32; }

void gathers(Communicator& c, std::uint64_t seed) {
  Dice dice(seed);
  for (std::uint64_t i = 0; i < 30; ++i) {
    const Elems slice_elems = dice.between(1, i % 10 == 0 ? 9'000 : 700);
    Shard shard(c.rank(), any_type(dice), slice_elems);
    shard.write(i);
    gather_and_compare(c, shard, i, dice.range(c.size(), slice_elems), dice.some_ranks(c.size()));
    c.release(shard.memory.view().data);
    shard.memory.poison();
  }
}

void reduces(Communicator& c, std::uint64_t seed) {
  Dice dice(seed);
  for (std::uint64_t i = 0; i < 15; ++i) {
    const FlatRange range = dice.range(c.size(), dice.between(1, i % 10 == 0 ? 20'000 : 500));
    Reduction reduction(c, any_type(dice), range);
    reduction.accumulator.poison();
    for (std::uint64_t round = 0; round < 3; ++round) {
      reduction.run(range, dice.some_ranks(c.size()), round > 0, i * 10 + round);
      c.release(reduction.gradient.view().data);
    }
  }
}

// A tensor tied to another unit lies in few slices: most ranks own nothing of the range.
void tied_ranges(Communicator& c, std::uint64_t seed) {
  Dice dice(seed);
  constexpr Elems slice_elems = 1024;
  Shard shard(c.rank(), DType::f32, slice_elems);
  shard.write(seed);
  for (std::uint64_t i = 0; i < 8; ++i) {
    const Elems begin = dice.between(0, c.size() * slice_elems - 200);
    const FlatRange range{begin, dice.between(1, 200), slice_elems};
    gather_and_compare(c, shard, seed, range, dice.some_ranks(c.size()));
    Reduction reduction(c, DType::bf16, range);
    reduction.run(range, dice.some_ranks(c.size()), false, i);
    c.release(reduction.gradient.view().data);
  }
  c.release(shard.memory.view().data);
}

// Several exported buffers under way, each written again as soon as its release returned.
void rewriting(Communicator& c, std::uint64_t seed) {
  Dice dice(seed);
  const std::vector<Elems> sizes = {37, 5'000, 60'000 / c.size(), 1};
  std::vector<Shard> shards;
  for (Elems elems : sizes) shards.emplace_back(c.rank(), DType::bf16, elems);
  std::vector<std::uint64_t> versions(sizes.size());
  std::vector<Reduction> reductions;
  const FlatRange gradient_range{3, 900 * c.size() - 5, 900};
  for (int i = 0; i < 2; ++i) reductions.emplace_back(c, DType::f32, gradient_range);
  for (std::size_t i = 0; i < shards.size(); ++i) shards[i].write(0);
  for (std::uint64_t i = 1; i < 120; ++i) {
    const auto which = static_cast<std::size_t>(dice.between(0, static_cast<Elems>(sizes.size()) - 1));
    switch (dice.between(0, 3)) {
      case 0:
      case 1: {
        const FlatRange range = dice.range(c.size(), sizes[which]);
        gather_and_compare(c, shards[which], versions[which], range, dice.some_ranks(c.size()));
        break;
      }
      case 2:
        c.release(shards[which].memory.view().data);
        shards[which].write(versions[which] = i);
        break;
      default:
        c.release(reductions[i % 2].gradient.view().data);
        reductions[i % 2].run(gradient_range, dice.some_ranks(c.size()), false, i);
    }
    c.progress();
  }
  for (const Shard& shard : shards) c.release(shard.memory.view().data);
  for (const Reduction& reduction : reductions) c.release(reduction.gradient.view().data);
}

// One rank reads late; the others, with nothing to receive, release and write at once. However late it is, the values
// are right: the pause is for faults.
void late_reader(Communicator& c, std::uint64_t) {
  constexpr Elems slice_elems = 1 << 18;
  Shard shard(c.rank(), DType::f32, slice_elems);
  shard.write(1);
  if (c.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(60));
  gather_and_compare(c, shard, 1, {0, c.size() * slice_elems, slice_elems}, {0});
  c.release(shard.memory.view().data);
  shard.memory.poison();
  c.barrier();
}

// Ranks without anything to receive run far ahead of one that sleeps.
void far_ahead(Communicator& c, std::uint64_t) {
  std::vector<Shard> shards;
  for (int i = 0; i < 100; ++i)
    shards.emplace_back(c.rank(), DType::bf16, 64), shards.back().write(static_cast<std::uint64_t>(i));
  if (c.rank() == c.size() - 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  for (std::size_t i = 0; i < shards.size(); ++i)
    gather_and_compare(c, shards[i], i, {5, 64 * c.size() - 5, 64}, {c.size() - 1});
  for (Shard& shard : shards) c.release(shard.memory.view().data), shard.memory.poison();
}

void all_reduces(Communicator& c, std::uint64_t seed) {
  Dice dice(seed);
  for (std::size_t count : {1, 69, 512, 1, 7}) {
    std::vector<std::int64_t> sums(count), expected(count);
    for (std::size_t i = 0; i < count; ++i)
      for (int rank = 0; rank < c.size(); ++rank) {
        const Elems value = dice.between(-(Elems(1) << 50), Elems(1) << 50);
        expected[i] += value;
        if (rank == c.rank()) sums[i] = value;
      }
    c.all_reduce(sums);
    check(sums == expected, fmt::format("all_reduce of {} values is wrong on rank {}", count, c.rank()));
  }
}

std::vector<std::byte> pattern(std::size_t bytes, int salt) {
  std::vector<std::byte> data(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    data[i] = static_cast<std::byte>((i * 131 + static_cast<std::size_t>(salt) * 17) & 0xff);
  return data;
}

void broadcasts(Communicator& c, std::uint64_t) {
  for (int root = 0; root < c.size(); ++root)
    for (std::size_t bytes : {0, 1, 1000, 300'000}) {
      std::vector<std::byte> data = c.rank() == root ? pattern(bytes, root) : std::vector<std::byte>(bytes);
      c.broadcast(data, root);
      check(data == pattern(bytes, root), fmt::format("broadcast of {} bytes from rank {} is wrong", bytes, root));
    }
}

void messages_round(Communicator& c, std::uint64_t) {
  const int next = (c.rank() + 1) % c.size(), previous = (c.rank() + c.size() - 1) % c.size();
  for (int round = 0; round < 5; ++round) {
    const std::size_t bytes = round % 2 ? 200'000 : 9;
    const std::vector<std::byte> mine = pattern(bytes, c.rank() + round);
    std::vector<std::byte> theirs(bytes);
    if (c.rank() == 0) c.send(mine, next);
    c.receive(theirs, previous);
    if (c.rank() != 0) c.send(mine, next);
    check(theirs == pattern(bytes, previous + round), "a message is wrong, or out of order");
  }
}

void barriers(Communicator& c, std::uint64_t seed) {
  Dice dice(seed + static_cast<std::uint64_t>(c.rank()));
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(dice.between(0, 5)));
    const std::int64_t entered = Clock::now().time_since_epoch().count();
    c.barrier();
    const std::int64_t left = Clock::now().time_since_epoch().count();
    for (int rank = 0; rank < c.size(); ++rank) {
      std::int64_t other = entered;
      c.broadcast(std::as_writable_bytes(std::span(&other, 1)), rank);
      check(other <= left, fmt::format("rank {} left a barrier before rank {} came", c.rank(), rank));
    }
  }
}

void releases_without_export(Communicator& c, std::uint64_t) {
  int nothing = 0;
  c.release(&nothing);
  c.release(&nothing);
  c.progress();
  Shard shard(c.rank(), DType::f32, 10);
  shard.write(2);
  gather_and_compare(c, shard, 2, {0, 10 * c.size(), 10}, {0});
  c.release(shard.memory.view().data);
  c.release(shard.memory.view().data);
}

std::string text_of_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const AgreedError& error) {
    return error.what();
  }
  return "";
}

void agreements(Communicator& c, std::uint64_t) {
  agree(c, "the configuration", "width = 3\ndepth = 4");
  const int odd = c.size() - 1;
  const std::string text = text_of_error([&] {
    agree(c, "the configuration", c.rank() == odd && odd > 0 ? "width = 3\ndepth = 5" : "width = 3\ndepth = 4");
  });
  const std::string says = fmt::format("line 2: rank 0 has 'depth = 4', rank {} has 'depth = 5'", odd);
  check(odd == 0 ? text.empty() : text.find(says) != std::string::npos, "agree said: " + text);

  agree_on_success(c, nullptr);
  const Error mine(ErrorKind::data, "no such file");
  const std::string alone = text_of_error([&] { agree_on_success(c, c.rank() == odd ? &mine : nullptr); });
  check(alone == (odd == 0 ? "no such file" : fmt::format("rank {}: no such file", odd)),
        "agree_on_success said: " + alone);
  check(text_of_error([&] { agree_on_success(c, &mine); }) == "no such file",
        "an error of all ranks names one of them");

  const std::vector<std::string> texts = all_gather(c, std::string(static_cast<std::size_t>(c.rank() * 3), 'x'));
  for (std::size_t rank = 0; rank < texts.size(); ++rank) check(texts[rank].size() == rank * 3, "all_gather is wrong");

  struct Record {
    std::int64_t rank = 0;
    double half = 0;
  };
  const std::vector<Record> records = all_gather(c, Record{.rank = c.rank(), .half = c.rank() / 2.0});
  const std::vector<int> own(static_cast<std::size_t>(c.rank()), c.rank());
  const std::vector<std::vector<int>> lists = all_gather_lists<int>(c, own);
  check(records.size() == texts.size() && lists.size() == texts.size(), "all_gather is of other ranks");
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    const int expected = static_cast<int>(rank);
    check(records[rank].rank == expected && records[rank].half == expected / 2.0, "all_gather of records is wrong");
    check(lists[rank] == std::vector<int>(rank, expected), "all_gather_lists is wrong");
  }
}

}  // namespace

std::span<const ConformanceCase> conformance_cases() {
  static const std::vector<ConformanceCase> cases = {
      {"a gather brings every owner's elements and writes nothing else", gathers},
      {"a reduce adds contributions in the order of `from`, to the bit", reduces},
      {"ranges that few ranks own", tied_ranges},
      {"an exported buffer may be written once its release returned", rewriting},
      {"a release waits for a late reader", late_reader},
      {"ranks may run far ahead", far_ahead},
      {"all_reduce adds exactly", all_reduces},
      {"broadcast from every root", broadcasts},
      {"messages of a pair arrive in order", messages_round, 2},
      {"nobody leaves a barrier before all came", barriers},
      {"a release of what was never exported returns", releases_without_export},
      {"agreement names the first rank and line that differ", agreements},
  };
  return cases;
}

std::span<const WaitingCall> waiting_calls() {
  static const auto gather_large = [](Communicator& c, std::vector<int> to) {
    constexpr Elems n = 1 << 20;  // so large that a message waits for its receiver
    const Tensor slice(DType::f32, n), full(DType::f32, n * c.size());
    const bool receives = contains(to, c.rank());
    c.gather({.slice = slice.view(), .range = {0, n * c.size(), n}, .full = receives ? full.view() : View(), .to = to});
    c.release(slice.view().data);
  };
  static const auto reduce_from = [](Communicator& c, int from) {
    const FlatRange range{0, 4 * c.size(), 4};
    Reduction(c, DType::f32, range).run(range, {from}, false, 1);
  };
  static const std::vector<WaitingCall> calls = {
      {"gather", [](Communicator& c, int) { gather_large(c, all_ranks(c)); }},
      {"release", [](Communicator& c, int absent) { gather_large(c, {absent}); }},
      {"reduce", [](Communicator& c, int absent) { reduce_from(c, absent); }},
      {"all_reduce",
       [](Communicator& c, int) {
         std::int64_t one = 1;
         c.all_reduce({&one, 1});
       }},
      {"broadcast",
       [](Communicator& c, int absent) {
         std::vector<std::byte> data(10);
         c.broadcast(data, absent);
       }},
      {"receive",
       [](Communicator& c, int absent) {
         std::vector<std::byte> data(10);
         c.receive(data, absent);
       }},
      {"barrier", [](Communicator& c, int) { c.barrier(); }},
  };
  return calls;
}

std::span<const DisagreeingCall> disagreeing_calls() {
  static const auto gather_of = [](Communicator& c, Elems n) {
    const Tensor slice(DType::f32, n), full(DType::f32, n * c.size());
    c.gather({.slice = slice.view(), .range = {0, n * c.size(), n}, .full = full.view(), .to = all_ranks(c)});
  };
  static const std::vector<DisagreeingCall> calls = {
      {"a gather of another length", [](Communicator& c, int odd) { gather_of(c, c.rank() == odd ? 8 : 4); }},
      {"another collective",
       [](Communicator& c, int odd) {
         if (c.rank() != odd) return gather_of(c, 4);
         std::int64_t one = 1;
         c.all_reduce({&one, 1});
       }},
  };
  return calls;
}

}  // namespace trireme::test
