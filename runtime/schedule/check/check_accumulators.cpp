#include "runtime/schedule/check/check_accumulators.h"

#include <fmt/format.h>

#include <algorithm>

namespace trireme::checking {
namespace {

// A reduce writes its accumulator, and maybe staging for pieces of peers and tokens.
bool is_accumulator(const Buffer& buffer) {
  return buffer.role != Role::token && buffer.role != Role::communication && buffer.role != Role::workspace;
}

}  // namespace

Found Accumulators::visit(OpId op, std::size_t run) {
  const Op& x = sequence_.op(op);
  const bool takes = x.kind == OpKind::round || x.kind == OpKind::accumulate;
  for (BufferId b : x.reads())
    if (takes && !x.writes(b))
      sums_[static_cast<std::size_t>(sequence_.identity(run, b))].last = -1;  // the next add may store again
  for (BufferId b : x.writes()) {
    const Identity id = sequence_.identity(run, b);
    if (!is_accumulator(sequence_.buffer(id))) continue;
    Sum& sum = sums_[static_cast<std::size_t>(id)];
    const bool reads = x.reads(b);
    if (x.kind == OpKind::reduce || x.kind == OpKind::accumulate) {
      if (sum.run != run) sum = Sum{.run = run};
      if (Found found = check_reduce(op, run, id, reads, sum)) return found;
    } else if (!reads) {
      sum = Sum{.run = run};  // another value
    }
  }
  return std::nullopt;
}

Found Accumulators::check_reduce(OpId op, std::size_t run, Identity id, bool reads, Sum& sum) {
  const std::string& name = sequence_.buffer(id).name;
  if (sum.last < 0 && reads)
    return Finding{op, fmt::format("{} adds to {}, but is the first reduce into it: the first must store, not read it",
                                   sequence_.describe(op), name)};
  if (sum.last >= 0 && !reads)
    return Finding{op, fmt::format("{} stores into {}, which holds the sum of {}: it must read it, too",
                                   sequence_.describe(op), name, sequence_.describe(sum.last))};
  return check_ascending(op, run, id, sum);
}

Found Accumulators::check_ascending(OpId op, std::size_t run, Identity id, Sum& sum) {
  const Op& x = sequence_.op(op);
  if (x.kind == OpKind::accumulate) return check_next({0, x.microbatch}, op, id, sum);
  if (!x.from)
    return Finding{
        op, fmt::format("{} has no from list: a reduce must say whose microbatches it adds", sequence_.describe(op))};
  const std::vector<Contribution>& from = sequence_.schedule(run).from_lists[static_cast<std::size_t>(*x.from)];
  if (last_proved_ == &from && !from.empty() && sum.microbatch < *from.front().microbatch) {
    sum.microbatch = *from.back().microbatch;
    sum.last = op;
    return std::nullopt;
  }
  for (const Contribution& c : from)
    if (Found found = check_next(c, op, id, sum)) return found;
  last_proved_ = &from;
  return std::nullopt;
}

Found Accumulators::check_next(const Contribution& c, OpId op, Identity id, Sum& sum) const {
  if (!c.microbatch)
    return Finding{
        op, fmt::format("{} adds what rank {} has without naming its microbatch", sequence_.describe(op), c.rank)};
  if (*c.microbatch <= sum.microbatch)
    return Finding{
        op, fmt::format("{} adds microbatch {} of rank {} to {} after microbatch {}{}: microbatches must "
                        "ascend",
                        sequence_.describe(op), *c.microbatch, c.rank, sequence_.buffer(id).name, sum.microbatch,
                        sum.last < 0 ? "" : fmt::format(" (the last before is {})", sequence_.describe(sum.last)))};
  sum.microbatch = *c.microbatch;
  sum.last = op;
  return std::nullopt;
}

}  // namespace trireme::checking
