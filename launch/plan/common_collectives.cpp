#include "launch/plan/common_collectives.h"

#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "comm/agreement.h"
#include "runtime/schedule/op_kinds.h"

namespace trireme {
namespace {

// Every collective of a program with all that ranks must have in common, a line each.
void print_collectives(const Schedule& schedule, const std::function<void(const std::string&)>& use) {
  for (const Op& op : schedule.ops) {
    if (!is_collective(op.kind)) continue;
    std::string line = fmt::format("{} {} group {} unit {} range {}+{}/{} bytes {} from", name(schedule.kind),
                                   name(op.kind), name(op.group), op.unit.value_or(-1), op.range.begin, op.range.elems,
                                   op.range.slice_elems, op.bytes);
    const std::vector<Contribution>& from = schedule.from_lists[static_cast<std::size_t>(*op.from)];
    if (op.group == Group::node) {  // other ranks on every node
      use(line + fmt::format(" {} ranks\n", from.size()));
      continue;
    }
    for (const Contribution& c : from) line += fmt::format(" {}:{}", c.rank, c.microbatch.value_or(-1));
    use(line + fmt::format(" to {}\n", fmt::join(schedule.to_lists[static_cast<std::size_t>(*op.to)], ",")));
  }
}

}  // namespace

// The lines themselves, megabytes of them, are made only where ranks differ.
void agree_on_collectives(Communicator& communicator, const RunPrograms& run) {
  std::uint64_t own = 0;
  const auto hash = [&](const std::string& line) { own = XXH3_64bits_withSeed(line.data(), line.size(), own); };
  for (const Schedule& schedule : run.schedules) print_collectives(schedule, hash);
  const std::vector<std::uint64_t> all = all_gather(communicator, own);
  if (std::all_of(all.begin(), all.end(), [&](std::uint64_t other) { return other == all.front(); })) return;
  std::string lines;
  for (const Schedule& schedule : run.schedules)
    print_collectives(schedule, [&](const std::string& line) { lines += line; });
  agree(communicator, "the collectives", lines);
}

}  // namespace trireme
