#include "shard/passes/node_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "shard/run_buffers.h"
#include "shard/schedule_writer.h"

namespace trireme {
namespace {

class NodeShardPass {
 public:
  NodeShardPass(Schedule schedule, const ModelSpec& model, const StepSpec& spec)
      : spec_(spec),
        run_(run_buffers(model, spec)),
        ops_(std::exchange(schedule.ops, {})),
        writer_(std::move(schedule)) {
    node_slices_.resize(model.units.size());
    for (std::size_t u = 0; u < model.units.size(); ++u)
      if (!run_.layouts[u].is_empty()) node_slices_[u] = add_node_slice(u);
  }

  Schedule run() {
    for (Op& op : ops_) {
      if (op.kind == OpKind::gather) stay_in_node(op);
      const std::optional<std::size_t> exported = exported_unit(run_, op);
      writer_.add(std::move(op));
      if (exported) refresh(*exported);
    }
    return writer_.take();
  }

 private:
  Elems node_slice(std::size_t u) const { return run_.layouts[u].slice_elems * (spec_.ranks() / spec_.node_ranks); }

  BufferId add_node_slice(std::size_t u) {
    const StateBuffers& state = run_.units[u];
    if (state.exported != state.master)
      writer_.schedule().buffers[static_cast<std::size_t>(state.exported)].lifetime = Lifetime::step;
    return writer_.add(Buffer{.name = fmt::format("node{}", u),
                              .role = Role::parameters,
                              .lifetime = Lifetime::persistent,
                              .type = spec_.compute,
                              .elems = node_slice(u),
                              .exported = true,
                              .offset = {}});
  }

  bool is_on_node(int rank) const { return rank / spec_.node_ranks == spec_.rank / spec_.node_ranks; }

  void stay_in_node(Op& op) {
    const auto u = static_cast<std::size_t>(*op.unit);
    op.group = Group::node;
    op.find(Slot::slice)->buffer = node_slices_[u];
    op.range.slice_elems = node_slice(u);
    std::vector<Contribution> from = spec_.exporters();
    std::erase_if(from, [&](const Contribution& c) { return !is_on_node(c.rank); });
    std::vector<int> to = writer_.schedule().to_lists[static_cast<std::size_t>(*op.to)];
    std::erase_if(to, [&](int rank) { return !is_on_node(rank); });
    op.from = writer_.from_list(from);
    op.to = writer_.to_list(to);
  }

  void refresh(std::size_t u) {
    const BufferId slice = run_.units[u].exported;
    for (int place = 0; place < spec_.node_ranks; ++place) {
      std::vector<int> to = spec_.all_ranks();
      std::erase_if(to, [&](int rank) { return rank % spec_.node_ranks != place; });
      const FlatRange range{place * node_slice(u), node_slice(u), run_.layouts[u].slice_elems};
      writer_.add(Op{.kind = OpKind::gather,
                     .stream = StreamId::comm,
                     .group = Group::data,
                     .unit = static_cast<int>(u),
                     .operands = {reads(Slot::slice, slice), writes(Slot::full, node_slices_[u])},
                     .range = range,
                     .wire = spec_.compute,
                     .bytes = range.elems * size_bytes(spec_.compute),
                     .from = writer_.from_list(spec_.exporters()),
                     .to = writer_.to_list(to)});
    }
    writer_.add(Op{.kind = OpKind::release,
                   .stream = StreamId::comm,
                   .group = Group::data,
                   .unit = static_cast<int>(u),
                   .operands = {reads(Slot::exported, slice)}});
  }

  const StepSpec& spec_;
  RunBuffers run_;
  std::vector<Op> ops_;
  ScheduleWriter writer_;
  std::vector<BufferId> node_slices_;  // by unit
};

}  // namespace

Schedule node_shard(Schedule schedule, const ModelSpec& model, const StepSpec& spec) {
  return NodeShardPass(std::move(schedule), model, spec).run();
}

}  // namespace trireme
