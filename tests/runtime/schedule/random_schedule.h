#pragma once
// Random small schedules on all streams and in all spaces that are valid by construction, and a slow, obvious oracle
// for what check() must say of them.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/random.h"
#include "runtime/schedule/schedule.h"

namespace trireme {

/// reach[j][i]: op i is complete before op j starts. O(n^2) sets, straight from the meaning of streams and events.
using Reach = std::vector<std::vector<bool>>;

inline Reach reachable(const Schedule& s) {
  Reach reach(s.ops.size(), std::vector<bool>(s.ops.size()));
  const auto order_behind = [&](std::size_t j, std::size_t i) {
    reach[j][i] = true;
    for (std::size_t k = 0; k < i; ++k)
      if (reach[i][k]) reach[j][k] = true;
  };
  for (std::size_t j = 0; j < s.ops.size(); ++j) {
    for (std::size_t i = 0; i < j; ++i)
      if (s.ops[i].stream == s.ops[j].stream) order_behind(j, i);
    for (EventId event : s.ops[j].waits)
      for (std::size_t i = j; i-- > 0;)
        if (s.ops[i].records == event) {
          order_behind(j, i);
          break;
        }
  }
  return reach;
}

/// Whether two buffers are one or lie on common bytes.
inline bool overlap(const Buffer& a, const Buffer& b) {
  return &a == &b || (a.offset && b.offset && a.elems > 0 && b.elems > 0 && a.space == b.space &&
                      *a.offset < *b.offset + b.bytes() && *b.offset < *a.offset + a.bytes());
}

/// Every two ops that touch common bytes, one of them writing, are ordered; every read finds its own buffer.
inline bool is_valid(const Schedule& s) {
  const Reach reach = reachable(s);
  const auto buffer = [&](BufferId id) -> const Buffer& { return s.buffers[static_cast<std::size_t>(id)]; };
  const auto conflict = [&](auto a, auto b) {
    for (BufferId x : a)
      for (BufferId y : b)
        if (overlap(buffer(x), buffer(y))) return true;
    return false;
  };
  for (std::size_t j = 0; j < s.ops.size(); ++j) {
    const Op& op = s.ops[j];
    for (BufferId x : op.writes()) {
      for (std::size_t y = 0; y < s.buffers.size(); ++y) {
        const Buffer& other = s.buffers[y];
        if (&other == &buffer(x) || !overlap(buffer(x), other)) continue;
        const bool used_here = op.reads(static_cast<BufferId>(y)) || op.writes(static_cast<BufferId>(y));
        if (other.lifetime == Lifetime::persistent || used_here) return false;
      }
    }
    for (std::size_t i = 0; i < j; ++i)
      if (!reach[j][i] && (conflict(op.writes(), s.ops[i].writes()) || conflict(op.writes(), s.ops[i].reads()) ||
                           conflict(op.reads(), s.ops[i].writes())))
        return false;
    for (BufferId r : op.reads()) {
      bool found = buffer(r).lifetime == Lifetime::persistent;
      for (std::size_t i = j; i-- > 0 && !(found && buffer(r).lifetime != Lifetime::persistent);) {
        if (s.ops[i].writes(r)) {
          found = true;
          break;
        }
        for (BufferId w : s.ops[i].writes())
          if (overlap(buffer(w), buffer(r))) return false;
      }
      if (!found) return false;
    }
  }
  return true;
}

/// Builds ops in an order that is right one by one, then waits for all that conflicts, then offsets with reuse.
class RandomSchedule {
 public:
  explicit RandomSchedule(std::uint64_t seed) : random_(seed, "random schedule") {}

  Schedule build(int ops) {
    order(ops);
    add_events();
    place();
    return std::move(s_);
  }

  /// Without events and places.
  Schedule build_order(int ops) {
    order(ops);
    return std::move(s_);
  }

 private:
  void order(int ops) {
    s_ = Schedule{.rank = 0, .world = 2};
    s_.from_lists = {{{0, {}}, {1, {}}}};
    s_.to_lists = {{0, 1}};
    for (int u = 0; u < 3; ++u)
      shards_.push_back(add(fmt::format("shard{}", u), Role::parameters, true, Lifetime::persistent));
    exposed_.resize(shards_.size());
    while (static_cast<int>(s_.ops.size()) < ops) add_op();
    for (BufferId gradient : unreleased_) release(gradient);
  }

  std::uint64_t below(std::uint64_t bound) { return random_.below(next_++, bound); }

  BufferId add(std::string name, Role role, bool exported = false, Lifetime lifetime = Lifetime::step) {
    const Elems elems = role == Role::token ? 0 : static_cast<Elems>(64 * (1 + below(4)));
    s_.buffers.push_back({.name = std::move(name),
                          .role = role,
                          .lifetime = lifetime,
                          .type = DType::f32,
                          .elems = elems,
                          .exported = exported});
    return static_cast<BufferId>(s_.buffers.size()) - 1;
  }
  BufferId fresh(const char* tag, Role role, bool exported = false) {
    return add(fmt::format("{}{}", tag, s_.buffers.size()), role, exported);
  }
  void release(BufferId exported) {
    s_.ops.push_back({.kind = OpKind::release,
                      .stream = StreamId::comm,
                      .group = Group::data,
                      .operands = {reads(Slot::exported, exported)}});
  }

  void add_op() {
    const std::size_t u = below(shards_.size());
    switch (below(5)) {
      case 0: {
        const BufferId full = fresh("full", Role::gathered);
        s_.ops.push_back({.kind = OpKind::gather,
                          .stream = StreamId::comm,
                          .group = Group::data,
                          .unit = static_cast<int>(u),
                          .operands = {reads(Slot::slice, shards_[u]), writes(Slot::full, full)},
                          .bytes = 512,
                          .from = 0,
                          .to = 0});
        exposed_[u] = true;
        values_.push_back(full);
        break;
      }
      case 1:
        if (exposed_[u]) release(shards_[u]);
        exposed_[u] = false;
        add_reader(
            {.kind = OpKind::update, .unit = static_cast<int>(u), .operands = {writes(Slot::master, shards_[u])}});
        break;
      case 2: {
        const BufferId gradient = fresh("grad", Role::gradients, true), sum = fresh("acc", Role::gradients);
        add_reader({.kind = OpKind::backward, .operands = {writes(Slot::gradient, gradient)}});
        const int first = static_cast<int>(below(8));
        s_.from_lists.push_back({{0, first}, {1, first + 1}});
        s_.ops.push_back({.kind = OpKind::reduce,
                          .stream = StreamId::comm,
                          .group = Group::data,
                          .operands = {reads(Slot::gradient, gradient), writes(Slot::accumulator, sum)},
                          .bytes = 512,
                          .from = static_cast<int>(s_.from_lists.size()) - 1,
                          .to = 0});
        s_.from_lists.back()[1].microbatch = static_cast<int>(s_.from_lists.size()) + 8;  // each list once
        unreleased_.push_back(gradient);
        values_.push_back(sum);
        break;
      }
      case 3:
        if (unreleased_.empty()) break;
        release(unreleased_.front());
        unreleased_.erase(unreleased_.begin());
        break;
      default: {
        Op op{.kind = OpKind::forward,
              .stream = all_streams[below(stream_count)],
              .unit = static_cast<int>(u),
              .segment = 0};
        const BufferId out = fresh("x", below(6) ? Role::activations : Role::token);
        s_.buffers.back().space = static_cast<Space>(below(space_count));
        op.add(s_.buffers.back().role == Role::token ? gives(out) : writes(Slot::out, out));
        op.add(writes(Slot::workspace, fresh("ws", Role::workspace)));
        s_.buffers.back().space = static_cast<Space>(below(space_count));
        add_reader(std::move(op));
        values_.push_back(out);
      }
    }
  }

  // An op that reads up to two values beside what it has. Values made by it come later.
  void add_reader(Op op) {
    for (int i = 0; i < 2 && !values_.empty(); ++i) {
      const std::size_t back = below(std::min<std::size_t>(values_.size(), 4));
      const BufferId id = values_[values_.size() - 1 - back];
      const bool is_token = s_.buffers[static_cast<std::size_t>(id)].role == Role::token;
      if (!op.reads(id)) op.add(is_token ? takes(id) : reads(Slot::x, id));
    }
    s_.ops.push_back(std::move(op));
  }

  void wait_for(std::size_t op, std::size_t earlier) {
    if (!s_.ops[earlier].records) s_.ops[earlier].records = s_.event_count++;
    s_.ops[op].waits.push_back(*s_.ops[earlier].records);
  }

  // Waits that are not needed are left out, most of the time.
  void add_events() {
    for (std::size_t j = 0; j < s_.ops.size(); ++j)
      for (std::size_t i = j; i-- > 0;) {
        const Op &a = s_.ops[i], &b = s_.ops[j];
        bool conflict = false;
        for (BufferId w : a.writes()) conflict |= b.reads(w) || b.writes(w);
        for (BufferId r : a.reads()) conflict |= b.writes(r);
        if (conflict && a.stream != b.stream && (!reachable(s_)[j][i] || below(8) == 0)) wait_for(j, i);
      }
  }

  // First fit: a place is free for a buffer when all uses of what lies there come before all uses of it.
  void place() {
    const Reach reach = reachable(s_);
    std::vector<std::vector<std::size_t>> uses(s_.buffers.size());
    for (std::size_t i = 0; i < s_.ops.size(); ++i)
      for (const Operand& operand : s_.ops[i].operands) uses[static_cast<std::size_t>(operand.buffer)].push_back(i);
    const auto all_before = [&](std::size_t a, std::size_t b) {
      for (std::size_t i : uses[a])
        for (std::size_t j : uses[b])
          if (!reach[j][i]) return false;
      return true;
    };
    for (std::size_t b = 0; b < s_.buffers.size(); ++b) {
      if (s_.buffers[b].elems == 0) continue;
      for (Bytes offset = 0; !s_.buffers[b].offset; offset += 256) {
        s_.buffers[b].offset = offset;
        for (std::size_t a = 0; a < b && s_.buffers[b].offset; ++a) {
          const bool persistent = s_.buffers[a].lifetime == Lifetime::persistent;
          if (overlap(s_.buffers[a], s_.buffers[b]) && (persistent || (!all_before(a, b) && !all_before(b, a))))
            s_.buffers[b].offset.reset();
        }
      }
    }
  }

  Random random_;
  std::uint64_t next_ = 0;
  Schedule s_;
  std::vector<BufferId> shards_, values_, unreleased_;
  std::vector<bool> exposed_;
};

}  // namespace trireme
