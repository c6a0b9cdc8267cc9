#include "shard/passes/derive_events.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <vector>

#include "runtime/schedule/per_stream.h"

namespace trireme {
namespace {

/// What happened to a buffer so far: its last write, and per stream the last read since.
struct Accesses {
  OpId write = -1;
  OpPerStream reads = no_ops;
};

class DeriveEvents {
 public:
  explicit DeriveEvents(Schedule& schedule)
      : s_(schedule), clocks_(s_.ops.size()), positions_(s_.ops.size()), accesses_(s_.buffers.size()) {}

  void run() {
    name_boundary_events();
    for (OpId op = 0; op < static_cast<OpId>(s_.ops.size()); ++op) derive(op);
  }

 private:
  Op& op(OpId id) { return s_.ops[static_cast<std::size_t>(id)]; }
  Buffer& buffer(BufferId id) { return s_.buffers[static_cast<std::size_t>(id)]; }
  Accesses& accesses(BufferId id) { return accesses_[static_cast<std::size_t>(id)]; }

  // The last writer of a persistent token or carried buffer records the event that later schedules wait for.
  void name_boundary_events() {
    std::unordered_map<BufferId, OpId> last_writer;
    for (OpId id = 0; id < static_cast<OpId>(s_.ops.size()); ++id)
      for (BufferId b : op(id).writes())
        if (outlives(b)) last_writer[b] = id;
    for (BufferId b = 0; b < static_cast<BufferId>(s_.buffers.size()); ++b) {
      if (!outlives(b)) continue;
      const EventId event = s_.event_count++;
      s_.boundary_events.push_back({event, buffer(b).name});
      event_of_[b] = event;
      if (const auto writer = last_writer.find(b); writer != last_writer.end()) op(writer->second).records = event;
    }
  }

  bool outlives(BufferId b) {
    const Buffer& x = buffer(b);
    return x.lifetime == Lifetime::carried || (x.lifetime == Lifetime::persistent && x.role == Role::token);
  }

  void derive(OpId id) {
    Op& current = op(id);
    OpPerStream latest = no_ops;  // that must be complete
    for (BufferId b : current.reads()) {
      if (accesses(b).write < 0 && outlives(b)) current.waits.push_back(event_of_.at(b));
      note(accesses(b).write, latest);
    }
    for (BufferId b : current.writes()) {
      note(accesses(b).write, latest);
      for (OpId reader : accesses(b).reads) note(reader, latest);
    }
    VectorClock& clock = clocks_[static_cast<std::size_t>(id)];
    clock = stream_clock_[current.stream];
    // What comes last knows most: behind it others may need no wait of their own.
    std::sort(latest.begin(), latest.end(), std::greater());
    for (OpId earlier : latest)
      if (earlier >= 0 && op(earlier).stream != current.stream) order_behind(earlier, id);
    positions_[static_cast<std::size_t>(id)] = clock[current.stream]++;
    stream_clock_[current.stream] = clock;
    for (BufferId b : current.reads()) accesses(b).reads[current.stream] = id;
    for (BufferId b : current.writes()) accesses(b) = Accesses{.write = id};
  }

  // Of one stream only the last op counts: those before it are ordered before it.
  void note(OpId earlier, OpPerStream& latest) {
    if (earlier < 0) return;
    OpId& last = latest[op(earlier).stream];
    last = std::max(last, earlier);
  }

  // Adds a wait of `id` for `earlier`, unless it is already ordered behind it.
  void order_behind(OpId earlier, OpId id) {
    VectorClock& clock = clocks_[static_cast<std::size_t>(id)];
    if (clock[op(earlier).stream] > positions_[static_cast<std::size_t>(earlier)]) return;
    if (!op(earlier).records) op(earlier).records = s_.event_count++;
    op(id).waits.push_back(*op(earlier).records);
    clock.join(clocks_[static_cast<std::size_t>(earlier)]);
  }

  Schedule& s_;
  std::vector<VectorClock> clocks_;  // by op: what is complete when it starts; of its own stream behind it
  std::vector<std::int32_t> positions_;
  std::vector<Accesses> accesses_;
  PerStream<VectorClock> stream_clock_;
  std::unordered_map<BufferId, EventId> event_of_;
};

}  // namespace

Schedule derive_events(Schedule schedule) {
  DeriveEvents(schedule).run();
  return schedule;
}

}  // namespace trireme
