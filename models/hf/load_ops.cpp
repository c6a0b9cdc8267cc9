#include "models/hf/load_ops.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "models/hf/slice.h"
#include "runtime/kernels/cast.h"

namespace trireme::hf {
namespace {

/// What the handler needs of a run.
struct Loader {
  std::shared_ptr<const ModelFolder> folder;
  TensorMap map;
  std::vector<FlatLayout> layouts;

  void read(const OpContext& context) const;
};

bool is_first(const OpContext& context) {
  const std::vector<Op>& ops = context.schedule.ops;
  return std::find_if(ops.begin(), ops.end(), [](const Op& op) { return op.kind == OpKind::read; }) - ops.begin() == context.id;
}

void Loader::read(const OpContext& context) const {
  const Op& op = context.op();
  const auto u = static_cast<std::size_t>(*op.unit);
  const auto staging = std::find_if(op.writes.begin(), op.writes.end(), [&](BufferId b) { return context.buffer(b).role == Role::data; });
  ensure(staging != op.writes.end(), "{} has no staging", describe(context.schedule, context.id));
  for (BufferId b : op.writes)
    if (const View view = context.view(b); !view.empty() && b != *staging) std::memset(view.data, 0, static_cast<std::size_t>(view.bytes()));
  const View master = context.view(op.writes.front()), buffer = context.view(*staging);
  const int rank = context.schedule.rank;
  if (is_first(context) && folder->model.tied)
    check_tied_head(folder->weights, token_table_of(folder->map), rank, context.schedule.world, buffer);
  read_slice(folder->weights, overlaps(map[u], held_parts(layouts[u], op.range, rank)), master, buffer);
  for (BufferId b : op.writes)
    if (context.buffer(b).role == Role::parameters && context.address(b) != master.data) cast({.in = master, .out = context.view(b)});
}

}  // namespace

void register_load_ops(OpTable& table, std::shared_ptr<const ModelFolder> folder, const std::vector<UnitSpec>& units,
                       std::vector<FlatLayout> layouts) {
  TensorMap map = map_tensors(folder->model, units, folder->prefix);
  const auto loader = std::make_shared<const Loader>(Loader{std::move(folder), std::move(map), std::move(layouts)});
  table.set(OpKind::read, [loader](const OpContext& context) { loader->read(context); });
}

}  // namespace trireme::hf
