#pragma once
// One rank's slice of a unit and the tensors of a model folder: which parts meet where.

#include <algorithm>
#include <vector>

#include "models/hf/tensor_map.h"
#include "runtime/base/tensor_view.h"
#include "shard/flat_layout.h"

namespace trireme::hf {

/// A run of elements of one piece that one slice holds.
struct Overlap {
  const Piece* piece = nullptr;
  Elems first = 0;  // element of the piece
  Elems elems = 0;
  Elems in_slice = 0;  // element of the slice
};

/// The pieces of a unit in parts of its tensors, in their order; padding is in none.
std::vector<Overlap> overlaps(const std::vector<std::vector<Piece>>& unit, const std::vector<TensorPart>& parts);
/// The same of what rank `rank` owns.
std::vector<Overlap> overlaps(const std::vector<std::vector<Piece>>& unit, const FlatLayout& layout, int rank);

/// A part of an overlap that fits a buffer: a rectangle of the piece. Of a piece that is not transposed the rows lie
/// one behind the other, so it counts as one long row there.
struct Block {
  Elems row = 0, rows = 1, col = 0, cols = 0;

  Elems elems() const { return rows * cols; }
};

/// The blocks of an overlap, each of at most `most_elems`, together every element once.
std::vector<Block> blocks(const Overlap& overlap, Elems most_elems);

/// Runs of a block that lie together in the folder's tensor, in the order of the buffer: calls each(first, elems).
template <typename Each>
void for_each_run(const Piece& piece, const Block& block, const Each& each) {
  if (!piece.transposed) return each(block.col, block.elems());
  if (block.rows == piece.rows) return each(block.col * piece.rows, block.elems());
  for (Elems c = block.col; c < block.col + block.cols; ++c) each(c * piece.rows + block.row, block.rows);
}

/// The block's memory in the slice (`values`: of the overlap's first element) and in a buffer of the folder's type.
Exchange exchange(const Overlap& overlap, const Block& block, float* values, std::byte* stored, Storage type);

/// Reads this rank's slice of a unit, f32, from the folder, with `staging` between. Elements of no piece are left
/// alone. Errors: Error(data) from reading.
void read_slice(const Weights& weights, const std::vector<Overlap>& parts, View slice, View staging);

/// Where a tied model's folder holds the head once more: throws Error(data) unless share `share` of `shares` of it
/// equals the token table bit for bit.
void check_tied_head(const Weights& weights, const Piece& table, int share, int shares, View staging);

}  // namespace trireme::hf
