#include "models/hf/load_ops.h"

#include <cstring>
#include <utility>

#include "models/hf/slice.h"
#include "runtime/kernels/cast.h"

namespace trireme::hf {
namespace {

void read_unit(const OpContext& context, const ModelFolder& folder, const std::vector<FlatLayout>& layouts) {
  const Op& op = context.op();
  const auto u = static_cast<std::size_t>(*op.unit);
  const View staging = context.view(op.writes.back());
  for (BufferId b : op.writes)
    if (const View view = context.view(b); !view.empty() && b != op.writes.back())
      std::memset(view.data, 0, static_cast<std::size_t>(view.bytes()));
  const View master = context.view(op.writes.front());
  const int rank = context.schedule.rank;
  read_slice(folder.weights, overlaps(folder.map[u], layouts[u], rank), master, staging);
  if (u == 0 && folder.model.tied) check_tied_head(folder.weights, token_table_of(folder.map), rank, context.schedule.world, staging);
  for (BufferId b : op.writes)
    if (context.buffer(b).exported && context.address(b) != master.data) cast({.in = master, .out = context.view(b)});
}

}  // namespace

void register_load_ops(OpTable& table, std::shared_ptr<const ModelFolder> folder, std::vector<FlatLayout> layouts) {
  table.set(OpKind::read, [folder = std::move(folder), layouts = std::move(layouts)](const OpContext& context) {
    read_unit(context, *folder, layouts);
  });
}

}  // namespace trireme::hf
