#include "runtime/schedule/check_bytes.h"

#include <fmt/format.h>

#include <iterator>

namespace trireme::checking {
namespace {

bool is_placed(const Buffer& buffer) { return buffer.offset && buffer.elems > 0; }

std::string placed(const Buffer& buffer) {
  return fmt::format("{} (bytes {:#x} to {:#x})", buffer.name, *buffer.offset, *buffer.offset + buffer.bytes());
}

}  // namespace

Found ByteOwners::claim_before_first() {
  for (Identity id = 0; id < static_cast<Identity>(sequence_.identities()); ++id)
    if (sequence_.buffer(id).lifetime == Lifetime::persistent)
      if (Found found = claim(id)) return found;
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

Found ByteOwners::claim(Identity id) {
  const Buffer& buffer = sequence_.buffer(id);
  if (!is_placed(buffer)) return std::nullopt;
  const Bytes end = *buffer.offset + buffer.bytes();
  const auto other = first_overlap(segments(buffer), *buffer.offset);
  if (other != segments(buffer).end() && other->first < end)
    return Finding{0, fmt::format("buffers {} and {} both hold values when the schedule starts, but share bytes",
                                  placed(buffer), placed(sequence_.buffer(other->second.owner)))};
  segments(buffer)[*buffer.offset] = Segment{.end = end, .owner = id};
  return std::nullopt;
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
  Segments& all = segments(buffer);
  const Segment fresh{.end = *buffer.offset + buffer.bytes(), .owner = id, .write = op};
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
      return finding(read == op ? "the op itself reads them;"
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
