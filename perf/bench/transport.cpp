// Rates of our own transport between the ranks of a run, one collective at a time with nothing beside it.
//
// usage: mpirun -n 2 bench_transport ROUNDS gather:BYTES reduce:BYTES ...
// BYTES is the payload as a schedule prints it: the whole unit in bf16. Every round runs the list in its order. Rank 0
// prints per collective "gather BYTES SECONDS GB/s", the median of the rounds, each from a barrier until peers have
// finished with it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "comm/bootstrap.h"
#include "perf/bench/bench.h"

using namespace trireme;

namespace {

constexpr Elems block_elems = 1024;  // what slices are cut at

struct Collective {
  OpKind kind;
  Bytes bytes;
};

Collective parse(const std::string& text) {
  const std::size_t colon = text.find(':');
  require(colon != std::string::npos, ErrorKind::config, "'{}': write gather:BYTES or reduce:BYTES", text);
  const Collective collective{parse_op_kind(text.substr(0, colon)), std::atoll(text.c_str() + colon + 1)};
  require(collective.kind == OpKind::gather || collective.kind == OpKind::reduce, ErrorKind::config,
          "'{}': only gather and reduce carry a unit", text);
  require(collective.bytes >= 2, ErrorKind::config, "'{}': at least 2 bytes", text);
  return collective;
}

/// One rank's buffers for collectives of up to `largest` bytes.
class Bench {
 public:
  Bench(Communicator& communicator, Bytes largest)
      : communicator_(communicator),
        slice_(slice_elems(largest) * 2),
        unit_(largest),
        staging_(slice_elems(largest) * 2 * communicator.size()),
        sum_(slice_elems(largest) * 4),
        ranks_(static_cast<std::size_t>(communicator.size())) {
    std::iota(ranks_.begin(), ranks_.end(), 0);
  }

  double seconds(const Collective& collective) {
    communicator_.barrier();
    const auto start = std::chrono::steady_clock::now();
    collective.kind == OpKind::gather ? gather(collective.bytes / 2) : reduce(collective.bytes / 2);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Elems slice_elems(Bytes bytes) const {
    return ceil_div(ceil_div(bytes / 2, block_elems), Elems{communicator_.size()}) * block_elems;
  }
  FlatRange range(Elems elems) const { return {0, elems, slice_elems(2 * elems)}; }

  void gather(Elems elems) {
    const View slice = slice_.matrix(DType::bf16, 1, range(elems).slice_elems);
    communicator_.gather(
        {.slice = slice, .range = range(elems), .full = unit_.matrix(DType::bf16, 1, elems), .to = ranks_});
    communicator_.release(slice.data);
  }
  void reduce(Elems elems) {
    const View gradient = unit_.matrix(DType::bf16, 1, elems);
    communicator_.reduce({.gradient = gradient,
                          .range = range(elems),
                          .from = ranks_,
                          .accumulator = sum_.matrix(DType::f32, 1, range(elems).owned_by(communicator_.rank()).elems),
                          .staging = staging_.matrix(DType::bf16, 1, range(elems).slice_elems * communicator_.size()),
                          .wire = DType::bf16});
    communicator_.release(gradient.data);
  }

  Communicator& communicator_;
  const bench::Memory slice_, unit_, staging_, sum_;
  std::vector<int> ranks_;
};

std::vector<Collective> parse_list(int argc, char** argv) {
  std::vector<Collective> collectives;
  for (int i = 2; i < argc; ++i) collectives.push_back(parse(argv[i]));
  require(!collectives.empty(), ErrorKind::config, "usage: bench_transport ROUNDS gather:BYTES reduce:BYTES ...");
  return collectives;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void run(MpiRun& mpi, int argc, char** argv) {
  const std::vector<Collective> collectives = parse_list(argc, argv);
  const int rounds = std::max(1, std::atoi(argv[1]));
  Bytes largest = 0;
  for (const Collective& collective : collectives) largest = std::max(largest, collective.bytes);
  const auto communicator = mpi.make_communicator({});
  Bench bench(*communicator, largest);
  std::vector<std::vector<double>> seconds(collectives.size());
  // The first round connects, and empties what a shaped link has saved up.
  for (int round = -1; round < rounds; ++round)
    for (std::size_t i = 0; i < collectives.size(); ++i) {
      const double time_s = bench.seconds(collectives[i]);
      if (round >= 0) seconds[i].push_back(time_s);
    }
  if (mpi.rank() != 0) return;
  for (std::size_t i = 0; i < collectives.size(); ++i)
    std::printf("%s %lld %.6f %.3f\n", name(collectives[i].kind), static_cast<long long>(collectives[i].bytes),
                median(seconds[i]), static_cast<double>(collectives[i].bytes) / median(seconds[i]) / 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  MpiRun mpi(&argc, &argv);
  try {
    run(mpi, argc, argv);
  } catch (const std::exception& error) {
    mpi.fail(error);
  }
  mpi.finish();
}
