#include "runtime/schedule/check/check_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace trireme::checking {
namespace {

bool is_placed(const Buffer& buffer) { return buffer.offset && buffer.elems > 0; }

std::string placed(const Buffer& buffer) {
  return fmt::format("{} (bytes {:#x} to {:#x})", buffer.name, *buffer.offset, *buffer.offset + buffer.bytes());
}

Found both_claim(const Buffer& a, const Buffer& b) {
  return Finding{0, fmt::format("buffers {} and {} both hold values when the schedule starts, but share bytes",
                                placed(a), placed(b))};
}

}  // namespace

Found ByteOwners::claim_before_first() {
  if (Found found = claim_persistent()) return found;
  std::vector<bool> written(sequence_.identities());
  if (sequence_.runs() == 0) return std::nullopt;
  for (const Op& op : sequence_.schedule(0).ops) {
    for (BufferId b : op.reads()) {
      const Identity id = sequence_.identity(0, b);
      if (sequence_.buffer(id).lifetime != Lifetime::carried || written[static_cast<std::size_t>(id)]) continue;
      written[static_cast<std::size_t>(id)] = true;
      if (Found found = claim(id)) return found;
    }
    for (BufferId b : op.writes()) written[static_cast<std::size_t>(sequence_.identity(0, b))] = true;
  }
  return std::nullopt;
}

Found ByteOwners::claim_persistent() {
  for (Identity id = 0; id < static_cast<Identity>(sequence_.identities()); ++id) {
    const Buffer& buffer = sequence_.buffer(id);
    if (buffer.lifetime != Lifetime::persistent || !is_placed(buffer)) continue;
    persistent_[static_cast<std::size_t>(id)] = {.end = *buffer.offset + buffer.bytes(), .owner = id};
    persistent_order_[static_cast<std::size_t>(buffer.space)].push_back(id);
  }
  for (std::vector<Identity>& order : persistent_order_) {
    std::stable_sort(order.begin(), order.end(),
                     [&](Identity a, Identity b) { return *sequence_.buffer(a).offset < *sequence_.buffer(b).offset; });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (persistent_[static_cast<std::size_t>(order[i - 1])].end > *sequence_.buffer(order[i]).offset)
        return both_claim(sequence_.buffer(order[i]), sequence_.buffer(order[i - 1]));
  }
  return std::nullopt;
}

Found ByteOwners::claim(Identity id) {
  const Buffer& buffer = sequence_.buffer(id);
  if (!is_placed(buffer)) return std::nullopt;
  const Bytes end = *buffer.offset + buffer.bytes();
  if (const Segment* const other = overlapped_persistent(buffer))
    return both_claim(buffer, sequence_.buffer(other->owner));
  const auto other = first_overlap(segments(buffer), *buffer.offset);
  if (other != segments(buffer).end() && other->first < end)
    return both_claim(buffer, sequence_.buffer(other->second.owner));
  segments(buffer)[*buffer.offset] = Segment{.end = end, .owner = id};
  return std::nullopt;
}

// The first persistent buffer that shares bytes with another buffer.
const ByteOwners::Segment* ByteOwners::overlapped_persistent(const Buffer& buffer) const {
  const std::vector<Identity>& order = persistent_order_[static_cast<std::size_t>(buffer.space)];
  const auto ends_behind = [&](Bytes begin, Identity id) {
    return begin < persistent_[static_cast<std::size_t>(id)].end;
  };
  const auto found = std::upper_bound(order.begin(), order.end(), *buffer.offset, ends_behind);
  if (found == order.end() || *sequence_.buffer(*found).offset >= *buffer.offset + buffer.bytes()) return nullptr;
  return &persistent_[static_cast<std::size_t>(*found)];
}

Found ByteOwners::visit(OpId op, std::size_t run) {
  const Op& x = sequence_.op(op);
  for (BufferId b : x.reads())
    if (Found found = read(op, sequence_.identity(run, b))) return found;
  for (BufferId b : x.writes())
    if (Found found = write(op, sequence_.identity(run, b))) return found;
  return std::nullopt;
}

// The first segment that ends behind `begin`.
ByteOwners::Segments::iterator ByteOwners::first_overlap(Segments& segments, Bytes begin) {
  auto next = segments.upper_bound(begin);
  if (next != segments.begin() && std::prev(next)->second.end > begin) return std::prev(next);
  return next;
}

Found ByteOwners::read(OpId op, Identity id) {
  const Buffer& buffer = sequence_.buffer(id);
  if (!is_placed(buffer)) return std::nullopt;
  if (buffer.lifetime == Lifetime::persistent) {
    persistent_[static_cast<std::size_t>(id)].reads[sequence_.op(op).stream] = op;
    return std::nullopt;
  }
  Segments& all = segments(buffer);
  const Bytes end = *buffer.offset + buffer.bytes();
  for (auto it = first_overlap(all, *buffer.offset); it != all.end() && it->first < end; ++it) {
    Segment& segment = it->second;
    if (segment.owner != id)
      return Finding{op, fmt::format("{} reads {}, but {} has overwritten those bytes as {}: they were freed too early",
                                     sequence_.describe(op), placed(buffer),
                                     segment.write < 0 ? "an earlier schedule" : sequence_.describe(segment.write),
                                     placed(sequence_.buffer(segment.owner)))};
    segment.reads[sequence_.op(op).stream] = op;
  }
  return std::nullopt;
}

Found ByteOwners::write(OpId op, Identity id) {
  const Buffer& buffer = sequence_.buffer(id);
  if (buffer.lifetime == Lifetime::carried) carried_out_[static_cast<std::size_t>(id)] = op;
  if (!is_placed(buffer)) return std::nullopt;
  const Segment fresh{.end = *buffer.offset + buffer.bytes(), .owner = id, .write = op};
  if (buffer.lifetime == Lifetime::persistent) {
    Segment& own = persistent_[static_cast<std::size_t>(id)];
    if (Found found = check_overwrite(op, id, own)) return found;
    own = fresh;
    return std::nullopt;
  }
  if (const Segment* const other = overlapped_persistent(buffer)) return check_overwrite(op, id, *other);
  Segments& all = segments(buffer);
  for (auto it = first_overlap(all, *buffer.offset); it != all.end() && it->first < fresh.end; ++it)
    if (Found found = check_overwrite(op, id, it->second)) return found;
  replace(all, *buffer.offset, fresh);
  return std::nullopt;
}

Found ByteOwners::check_overwrite(OpId op, Identity id, const Segment& segment) const {
  const Buffer &buffer = sequence_.buffer(id), &old = sequence_.buffer(segment.owner);
  const bool same = segment.owner == id;
  const auto finding = [&](std::string_view what) {
    return Finding{op, fmt::format("{} writes {}{} {} {}", sequence_.describe(op), placed(buffer),
                                   same ? ", but" : fmt::format(" over bytes of {}:", placed(old)), what,
                                   same ? "" : "they are alive at the same time")};
  };
  if (!same && old.lifetime == Lifetime::persistent) return finding("a persistent buffer's bytes are never free;");
  for (OpId read : segment.reads)
    if (read >= 0 && (read == op ? !same : !sequence_.before(read, op)))
      return finding(
          read == op ? "the op itself reads them;"
                     : fmt::format("{} reads them and no event orders the write after it;", sequence_.describe(read)));
  if (segment.write >= 0 && (segment.write == op ? !same : !sequence_.before(segment.write, op)))
    return finding(segment.write == op
                       ? "the op itself writes them as both;"
                       : fmt::format("{} writes them and no event orders the two;", sequence_.describe(segment.write)));
  return std::nullopt;
}

// Cuts what lies under `fresh` and puts it there.
void ByteOwners::replace(Segments& segments, Bytes begin, const Segment& fresh) {
  auto it = first_overlap(segments, begin);
  if (it != segments.end() && it->first == begin && it->second.end == fresh.end) {
    it->second = fresh;
    return;
  }
  while (it != segments.end() && it->first < fresh.end) {
    const auto [old_begin, old] = *it;
    it = segments.erase(it);
    if (old_begin < begin) {
      Segment left = old;
      left.end = begin;
      segments.emplace_hint(it, old_begin, left);
    }
    if (old.end > fresh.end) it = segments.emplace_hint(it, fresh.end, old);
  }
  segments.emplace_hint(it, begin, fresh);
}

Found ByteOwners::end_of_run(std::size_t run) {
  const auto count = static_cast<BufferId>(sequence_.schedule(run).buffers.size());
  for (BufferId b = 0; b < count; ++b) {
    const Identity id = sequence_.identity(run, b);
    const OpId written = carried_out_[static_cast<std::size_t>(id)];
    const Buffer& buffer = sequence_.buffer(id);
    if (written < sequence_.first_op(run) || !is_placed(buffer)) continue;
    Segments& all = segments(buffer);
    const Bytes end = *buffer.offset + buffer.bytes();
    for (auto it = first_overlap(all, *buffer.offset); it != all.end() && it->first < end; ++it)
      if (it->second.owner != id)
        return Finding{it->second.write,
                       fmt::format("{} writes {} over bytes of the carried buffer {}, which {} wrote for the next "
                                   "schedule",
                                   sequence_.describe(it->second.write), placed(sequence_.buffer(it->second.owner)),
                                   placed(buffer), sequence_.describe(written))};
  }
  return std::nullopt;
}

}  // namespace trireme::checking
