#include "optim/gradient_hash.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace trireme {
namespace {

std::uint64_t add(ConstView tensor, std::uint64_t hash) {
  return XXH3_64bits_withSeed(tensor.data, static_cast<std::size_t>(tensor.bytes()), hash);
}

// A range that is not the whole unit is one tensor.
std::uint64_t hash_of(const FlatLayout& layout, const FlatRange& range, const View& gradient) {
  if (range != layout.whole()) return add(gradient, 0);
  std::uint64_t hash = 0;
  for (std::size_t t = 0; t < layout.tensor_begin.size(); ++t)
    hash = add(gradient.cols_from(layout.tensor_begin[t], layout.tensor_elems[t]), hash);
  return hash;
}

}  // namespace

void register_hash_ops(OpTable& table, std::span<const FlatLayout> layouts) {
  table.set(OpKind::hash, [layouts](const OpContext& context) {
    const Op& op = context.op();
    const View hashes = context.view(Slot::hashes);
    auto* const list = hashes.as<std::int64_t>();
    const bool is_first = !op.find(Slot::hashes)->reads();
    if (is_first) list[0] = 0;
    const std::int64_t place = ++list[0];
    ensure(place < hashes.elems(), "{} hashes of gradients in a list of {}", place, hashes.elems());
    list[place] = static_cast<std::int64_t>(
        hash_of(layouts[static_cast<std::size_t>(*op.unit)], op.range, context.view(Slot::gradient)));
  });
}

}  // namespace trireme
