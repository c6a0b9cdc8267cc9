#include "runtime/kernels/embedding.h"

#include "runtime/kernels/cpu/simd/hwy_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/embedding.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/kernels/cpu/check_view.h"
#include "runtime/kernels/cpu/simd/hwy_lanes-inl.h"
#include "runtime/kernels/cpu/threads.h"
#include "runtime/kernels/cpu/with_type.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::cpu::HWY_NAMESPACE {

template <typename T>
void look_up(const EmbeddingLookup& k, Elems n) {
  const std::int32_t token = k.tokens.as<std::int32_t>()[n];
  const Elems channels = k.out.cols;
  const T* row = k.token_table.as<T>() + token * k.token_table.row_stride;
  T* out = k.out.as<T>() + n * k.out.row_stride;
  if (k.position_table.empty()) {
    std::copy_n(row, channels, out);
    return;
  }
  const T* place = k.position_table.as<T>() + k.positions.as<std::int32_t>()[n] * k.position_table.row_stride;
  for (Elems c = 0; c < channels; c += lanes)
    store_at(out, load_at(row, c, channels) + load_at(place, c, channels), c, channels);
}

void check_ids(const ConstView& ids, Elems rows, Elems count) {
  check_vector("embedding: ids", ids, DType::i32, count);
  const std::int32_t* id = ids.as<std::int32_t>();
  for (Elems n = 0; n < ids.elems(); ++n)
    ensure(id[n] >= 0 && id[n] < rows, "id {} at place {} is outside a table of {} rows", id[n], n, rows);
}

void forward(const EmbeddingLookup& k) {
  check_ids(k.tokens, k.token_table.rows, k.out.rows);
  check_matrix("embedding_forward: token_table", k.token_table, k.out.type, k.token_table.rows, k.out.cols);
  if (!k.position_table.empty()) {
    check_ids(k.positions, k.position_table.rows, k.out.rows);
    check_matrix("embedding_forward: position_table", k.position_table, k.out.type, k.position_table.rows, k.out.cols);
  }
  with_storage(k.out.type, [&](auto type) {
    for_each_block(k.out.rows, 8, [&](Elems first, Elems last, int) {
      for (Elems n = first; n < last; ++n) look_up<decltype(type)>(k, n);
    });
  });
}

/// Places of ids by row, each row's in ascending order: a counting sort.
struct Places {
  const std::int32_t *start, *place;  // of row r: place[start[r]] ... place[start[r + 1] - 1]
};

Places sort_places(const ConstView& ids, Elems rows, const View& workspace) {
  auto* start = static_cast<std::int32_t*>(workspace.data);
  std::int32_t* place = start + rows + 1;
  const std::int32_t* id = ids.as<std::int32_t>();
  std::fill_n(start, rows + 1, 0);
  for (Elems n = 0; n < ids.elems(); ++n) ++start[id[n]];
  std::int32_t total = 0;
  for (Elems r = 0; r <= rows; ++r) total += std::exchange(start[r], total);
  for (Elems n = 0; n < ids.elems(); ++n) place[start[id[n]]++] = static_cast<std::int32_t>(n);
  // Each start has moved on to the next row's: shift back.
  std::copy_backward(start, start + rows, start + rows + 1);
  start[0] = 0;
  return {start, place};
}

template <typename T, typename G>
void sum_row(const ConstView& d_out, const View& table, const Places& places, Elems row) {
  G* out = row_of<G>(table, row);
  for (Elems c = 0; c < table.cols; c += lanes) {
    F16 total = set(0);
    for (std::int32_t i = places.start[row]; i < places.start[row + 1]; ++i)
      total = total + load_at(row_of<T>(d_out, places.place[i]), c, table.cols);
    store_at(out, total, c, table.cols);
  }
}

// Most rows of a large vocabulary have no token: runs of them are cleared at once, as fast as memory goes.
template <typename G>
void clear_rows(const View& table, Elems first, Elems last) {
  const auto row_bytes = sizeof(G) * static_cast<std::size_t>(table.cols);
  if (table.contiguous()) {
    std::memset(static_cast<void*>(row_of<G>(table, first)), 0, static_cast<std::size_t>(last - first) * row_bytes);
    return;
  }
  for (Elems row = first; row < last; ++row) std::memset(static_cast<void*>(row_of<G>(table, row)), 0, row_bytes);
}

template <typename T, typename G>
void sum_run(const ConstView& d_out, const View& table, const Places& places, Elems first, Elems last) {
  for (Elems row = first; row < last; ++row) {
    Elems used = row;
    while (used < last && places.start[used] == places.start[used + 1]) ++used;
    if (used > row) clear_rows<G>(table, row, used);
    if (used < last) sum_row<T, G>(d_out, table, places, used);
    row = used;
  }
}

void sum_rows(const ConstView& ids, const ConstView& d_out, const View& table, const View& workspace) {
  check_ids(ids, table.rows, d_out.rows);
  check_matrix("embedding_backward: a table's gradient", table, table.type, table.rows, d_out.cols);
  const Bytes needed_bytes = embedding_backward_workspace_bytes(ids.elems(), table.rows);
  ensure(workspace.bytes() >= needed_bytes, "embedding_backward: a workspace of {} bytes for a table that needs {}",
         workspace.bytes(), needed_bytes);
  const Places places = sort_places(ids, table.rows, workspace);
  with_type(d_out.type, [&](auto type) {
    with_storage(table.type, [&](auto gradient) {
      for_each_block(table.rows, 64, [&](Elems first, Elems last, int) {
        sum_run<decltype(type), decltype(gradient)>(d_out, table, places, first, last);
      });
    });
  });
}

void backward(const EmbeddingGradient& k) {
  if (!k.d_token_table.empty()) sum_rows(k.tokens, k.d_out, k.d_token_table, k.workspace);
  if (!k.d_position_table.empty()) sum_rows(k.positions, k.d_out, k.d_position_table, k.workspace);
}

}  // namespace trireme::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme {
namespace cpu {
HWY_EXPORT(forward);
HWY_EXPORT(backward);
}  // namespace cpu

void embedding_forward(const EmbeddingLookup& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(forward)(k);
}
void embedding_backward(const EmbeddingGradient& k) {
  using namespace cpu;
  HWY_DYNAMIC_DISPATCH(backward)(k);
}
Bytes embedding_backward_workspace_bytes(Elems ids, Elems rows) {
  return (rows + 1 + ids) * static_cast<Bytes>(sizeof(std::int32_t));
}
}  // namespace trireme
#endif
