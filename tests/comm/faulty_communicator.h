#pragma once

#include <algorithm>
#include <vector>

#include "comm/communicator.h"

namespace trireme::test {

enum class Fault { none, swapped_contributions, skipped_release, missing_arrival };

/// A communicator with a planted fault: what the conformance suite must notice.
class FaultyCommunicator final : public Communicator {
 public:
  FaultyCommunicator(Communicator& inner, Fault fault) : inner_(inner), fault_(fault) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  int node_of(int rank) const override { return inner_.node_of(rank); }
  void share(const SharedMemory& memory) override { inner_.share(memory); }
  void gather(const Gather& gather) override {
    if (fault_ == Fault::missing_arrival && rank() == size() - 1 && ++gathers_ == 3) return;
    inner_.gather(gather);
  }
  void reduce(const Reduce& reduce) override {
    std::vector<int> from(reduce.from.begin(), reduce.from.end());
    if (fault_ == Fault::swapped_contributions && from.size() >= 4) std::swap(from[2], from[3]);
    Reduce changed = reduce;
    changed.from = from;
    inner_.reduce(changed);
  }
  void release(const void* exported) override {
    if (fault_ != Fault::skipped_release) inner_.release(exported);
  }
  void all_reduce(std::span<std::int64_t> sums) override { inner_.all_reduce(sums); }
  void broadcast(std::span<std::byte> bytes, int root) override { inner_.broadcast(bytes, root); }
  void send(std::span<const std::byte> bytes, int to) override { inner_.send(bytes, to); }
  void receive(std::span<std::byte> bytes, int from) override { inner_.receive(bytes, from); }
  void barrier() override { inner_.barrier(); }
  void progress() override { inner_.progress(); }
  bool needs_progress() const override { return inner_.needs_progress(); }
  std::size_t take_waits(std::span<WaitInterval> into) override { return inner_.take_waits(into); }
  Traffic traffic() const override { return inner_.traffic(); }
  void abort() override { inner_.abort(); }

 private:
  Communicator& inner_;
  Fault fault_;
  int gathers_ = 0;
};

}  // namespace trireme::test
