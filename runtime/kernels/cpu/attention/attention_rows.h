#pragma once
// What attention does to rows of scores between its products: softmax, probabilities, gradients of scores. One set per
// instruction set, all with the same bits.

#include <cstdint>

#include "runtime/base/tensor_view.h"

namespace trireme::cpu {

inline constexpr float log2_e = 1.44269504f;

/// Running softmax of one query, in log2 units.
struct SoftmaxState {
  float maximum = -3e38f, sum = 0;
};

/// The softmax of a block of scores, one row per query. Row r has the scores from starts[r] - key on that lie before
/// min(first_valid + r, cols), maybe none; they are scaled and taken into its state. Their exponentials relative to the
/// new maximum go to p, zero before, and beyond as far as the row's group sees keys. Its sums of values so far, `mixed`
/// [width], are rescaled to that maximum unless there are none yet (is_first). Row sums: 16 lanes in order of keys,
/// then halves onto halves.
template <typename T>
struct SoftenRows {
  Elems rows = 0, first_valid = 0, cols = 0;
  float scale = 1;
  const float* scores = nullptr;
  T* p = nullptr;
  Elems stride = 0;  // of scores and p
  SoftmaxState* state = nullptr;
  float* mixed = nullptr;
  Elems width = 0;
  bool is_first = false;
  Elems group = 0;                       // rows that are multiplied with one depth; a power of two
  const std::int32_t* starts = nullptr;  // [rows], the first key of each row's document; null: 0
  Elems key = 0;                         // the first of the block
};

/// Probabilities and gradients of a block of scores, one row per key, from column `row - diagonal` on, and before
/// column ends[row] - query (queries that see the key): p = 2^(scale s - log_sum_exp), ds = p (dp - delta), both
/// rounded to T. All other elements of rows x align_up(cols, 32) become zero; rows from valid_rows on have none.
template <typename T>
struct GradientRows {
  Elems rows = 0, valid_rows = 0, cols = 0;
  Elems diagonal = 0;  // the first query less the first key
  float scale = 1;
  const float *scores = nullptr, *d_probabilities = nullptr;
  Elems scores_stride = 0;
  T *p = nullptr, *ds = nullptr;
  Elems stride = 0;                                      // of p and ds
  const float *log_sum_exp = nullptr, *delta = nullptr;  // [cols]
  const std::int32_t* ends = nullptr;  // [valid_rows], ascending: where each key's document ends; null: nowhere
  Elems query = 0;                     // of column 0
};

/// out = rows * factors, rounded to T: row r times factors[r].
template <typename T>
struct StoreRows {
  const float* rows = nullptr;  // [count][width], width a multiple of 16 and at least cols
  Elems width = 0;
  const float* factors = nullptr;
  T* out = nullptr;
  Elems count = 0, cols = 0, stride = 0;  // of out
};

/// Whole blocks at a time: a call per row would wait for the stores of the row before.
template <typename T>
struct AttentionRows {
  void (*soften)(const SoftenRows<T>& k);
  void (*gradients)(const GradientRows<T>& k);
  void (*store)(const StoreRows<T>& k);
};
/// Those of active_isa().
template <typename T>
AttentionRows<T> attention_rows();
/// The AVX-512 BF16 ones; call only where the CPU has it.
AttentionRows<bf16> attention_rows_avx512_bf16();

/// log2 of the sum of exponentials that the state holds.
float log_sum(const SoftmaxState& state);
/// sums[r] = sum of a[r][i] b[r][i] in 16 lanes; a and b have one shape.
void dot_rows(const ConstView& a, const ConstView& b, float* sums);

}  // namespace trireme::cpu
