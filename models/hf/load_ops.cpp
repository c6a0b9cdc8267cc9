#include "models/hf/load_ops.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "models/hf/slice.h"
#include "runtime/kernels/cast.h"
#include "shard/frozen_units.h"

namespace trireme::hf {
namespace {

/// What reads the units of a run.
struct Loader {
  std::shared_ptr<const ModelFolder> folder;
  std::span<const UnitSpec> units;
  std::span<const FlatLayout> layouts;

  void read_unit(const OpContext& context) const;
};

BufferId staging_of(const OpContext& context) {
  const std::vector<BufferId>& writes = context.op().writes;
  return *std::find_if(writes.begin(), writes.end(), [&](BufferId b) { return context.buffer(b).role == Role::data; });
}

bool is_first_read(const OpContext& context) {
  const std::vector<Op>& ops = context.schedule.ops;
  return std::find_if(ops.begin(), ops.end(), [](const Op& op) { return op.kind == OpKind::read; }) - ops.begin() ==
         context.id;
}

void Loader::read_unit(const OpContext& context) const {
  const Op& op = context.op();
  const auto u = static_cast<std::size_t>(*op.unit);
  const BufferId staging_id = staging_of(context);
  const View staging = context.view(staging_id);
  for (BufferId b : op.writes)
    if (const View view = context.view(b); !view.empty() && b != staging_id)
      std::memset(view.data, 0, static_cast<std::size_t>(view.bytes()));
  const View master = context.view(op.writes.front());
  const int rank = context.schedule.rank;
  read_slice(folder->weights, overlaps(folder->map[described_unit(units, u)], held_parts(layouts[u], op.range, rank)),
             master, staging);
  // Not with the embedding's: where all of that is frozen its unit has no op.
  if (is_first_read(context) && folder->model.tied)
    check_tied_head(folder->weights, token_table_of(folder->map), rank, context.schedule.world, staging);
  for (BufferId b : op.writes)
    if (context.buffer(b).role == Role::parameters && context.address(b) != master.data)
      cast({.in = master, .out = context.view(b)});
}

}  // namespace

void register_load_ops(OpTable& table, std::shared_ptr<const ModelFolder> folder, std::span<const UnitSpec> units,
                       std::span<const FlatLayout> layouts) {
  table.set(OpKind::read, [loader = Loader{std::move(folder), units, layouts}](
                              const OpContext& context) { loader.read_unit(context); });
}

}  // namespace trireme::hf
