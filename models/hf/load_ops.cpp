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

bool is_first_read(const OpContext& context) {
  const std::vector<Op>& ops = context.schedule.ops;
  return std::find_if(ops.begin(), ops.end(), [](const Op& op) { return op.kind == OpKind::read; }) - ops.begin() ==
         context.id;
}

void Loader::read_unit(const OpContext& context) const {
  const Op& op = context.op();
  const auto u = static_cast<std::size_t>(*op.unit);
  const View staging = context.view(Slot::staging), master = context.view(Slot::master);
  for (const Operand& operand : op.operands)
    if (const View view = context.view(operand.buffer); !view.empty() && operand.slot != Slot::staging)
      std::memset(view.data, 0, static_cast<std::size_t>(view.bytes()));
  const int rank = context.schedule.rank;
  read_slice(folder->weights, overlaps(folder->map[described_unit(units, u)], held_parts(layouts[u], op.range, rank)),
             master, staging);
  // Not with the embedding's: where all of that is frozen its unit has no op.
  if (is_first_read(context) && folder->model.tied)
    check_tied_head(folder->weights, token_table_of(folder->map), rank, context.schedule.world, staging);
  if (const View exported = context.view_if_any(Slot::exported); !exported.empty())
    cast({.in = master, .out = exported});
}

}  // namespace

void register_load_ops(OpTable& table, std::shared_ptr<const ModelFolder> folder, std::span<const UnitSpec> units,
                       std::span<const FlatLayout> layouts) {
  table.set(OpKind::read, [loader = Loader{std::move(folder), units, layouts}](const OpContext& context) {
    loader.read_unit(context);
  });
}

}  // namespace trireme::hf
