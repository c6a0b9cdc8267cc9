#include "models/hf/slice.h"

#include <cstring>

#include "runtime/base/error.h"

namespace trireme::hf {
namespace {

/// Cuts a rectangle into blocks: whole columns of the buffer, as they lie together in the folder, as long as they fit.
void add_blocks(const Block& rectangle, Elems most_elems, std::vector<Block>& list) {
  const Elems rows = std::min(rectangle.rows, most_elems), cols = std::max<Elems>(1, most_elems / rows);
  for (Elems r = 0; r < rectangle.rows; r += rows)
    for (Elems c = 0; c < rectangle.cols; c += cols)
      list.push_back({rectangle.row + r, std::min(rows, rectangle.rows - r), rectangle.col + c,
                      std::min(cols, rectangle.cols - c)});
}

}  // namespace

std::vector<Overlap> overlaps(const std::vector<std::vector<Piece>>& unit, const std::vector<TensorPart>& parts) {
  std::vector<Overlap> list;
  for (const TensorPart& part : parts)
    for (const Piece& piece : unit[static_cast<std::size_t>(part.tensor)]) {
      const Elems begin = std::max(part.first, piece.first);
      const Elems end = std::min(part.first + part.elems, piece.first + piece.elems());
      if (begin < end) list.push_back({&piece, begin - piece.first, end - begin, part.in_slice + begin - part.first});
    }
  return list;
}

std::vector<Overlap> overlaps(const std::vector<std::vector<Piece>>& unit, const FlatLayout& layout, int rank) {
  return overlaps(unit, owned_parts(layout, rank));
}

std::vector<Block> blocks(const Overlap& overlap, Elems most_elems) {
  ensure(most_elems > 0, "blocks without elements");
  std::vector<Block> list;
  if (!overlap.piece->transposed) {
    add_blocks({.row = 0, .rows = 1, .col = overlap.first, .cols = overlap.elems}, most_elems, list);
    return list;
  }
  // The end of a row, whole rows, the beginning of a row.
  const Elems width = overlap.piece->cols, end = overlap.first + overlap.elems;
  Elems at = overlap.first;
  if (at % width != 0) {
    const Elems cols = std::min(width - at % width, end - at);
    add_blocks({.row = at / width, .rows = 1, .col = at % width, .cols = cols}, most_elems, list);
    at += cols;
  }
  if (const Elems rows = (end - at) / width; rows > 0) {
    add_blocks({.row = at / width, .rows = rows, .col = 0, .cols = width}, most_elems, list);
    at += rows * width;
  }
  if (at < end) add_blocks({.row = at / width, .rows = 1, .col = 0, .cols = end - at}, most_elems, list);
  return list;
}

Exchange exchange(const Overlap& overlap, const Block& block, float* values, std::byte* stored, Storage type) {
  const Piece& piece = *overlap.piece;
  const Elems first = (piece.transposed ? block.row * piece.cols : 0) + block.col - overlap.first;
  return {.values = values + first,
          .value_stride = piece.cols,
          .stored = stored,
          .type = type,
          .rows = block.rows,
          .cols = block.cols,
          .transposed = piece.transposed};
}

void read_slice(const Weights& weights, const std::vector<Overlap>& parts, View slice, View staging) {
  for (const Overlap& part : parts) {
    const WeightPlace place = weights.find(part.piece->name);
    const Storage type = storage_of(place);
    float* values = slice.as<float>() + part.in_slice;
    auto* const stored = static_cast<std::byte*>(staging.data);
    for (const Block& block : blocks(part, staging.bytes() / size_bytes(type))) {
      std::byte* at = stored;
      for_each_run(*part.piece, block, [&](Elems first, Elems elems) {
        weights.read(place, first, elems, at);
        at += elems * size_bytes(type);
      });
      widen(exchange(part, block, values, stored, type));
    }
  }
}

void check_tied_head(const Weights& weights, const Piece& table, int share, int shares, View staging) {
  const WeightPlace head = weights.find(head_name), place = weights.find(table.name);
  if (!head.file || table.name == head_name) return;
  const Bytes width = size_bytes(storage_of(place)), half_bytes = staging.bytes() / 2 / width * width;
  auto* const left = static_cast<std::byte*>(staging.data);
  const Elems each = ceil_div(table.elems(), shares), end = std::min(table.elems(), (share + 1) * each);
  for (Elems at = share * each; at < end; at += half_bytes / width) {
    const Elems elems = std::min(half_bytes / width, end - at);
    weights.read(place, at, elems, left);
    weights.read(head, at, elems, left + half_bytes);
    require(std::memcmp(left, left + half_bytes, static_cast<std::size_t>(elems * width)) == 0, ErrorKind::data,
            "{}: {} differs from {} among elements {} to {}, and config.json says they are tied; set "
            "tie_word_embeddings to false",
            weights.folder(), head_name, table.name, at, at + elems - 1);
  }
}

}  // namespace trireme::hf
