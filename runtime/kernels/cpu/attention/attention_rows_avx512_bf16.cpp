// Rows of attention on AVX-512 BF16: the same arithmetic as attention_rows.cpp, in the same order, with the machine's
// own masks, rounding to bf16 and powers of two. Only functions with the target attribute may use its instructions.

#include <immintrin.h>

#include <algorithm>

#include "runtime/kernels/cpu/attention/attention_products.h"
#include "runtime/kernels/cpu/attention/attention_rows.h"

#define TRIREME_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma"), always_inline)) inline
#define TRIREME_AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")))

namespace trireme::cpu {
namespace {

constexpr Elems lanes = 16;

TRIREME_AVX512 __m512 set(float x) { return _mm512_set1_ps(x); }

// Of two equal values, or where one is no number, the instructions give the second operand: the rule of hwy_lanes-inl.h
// has a there.
TRIREME_AVX512 __m512 max(__m512 a, __m512 b) { return _mm512_max_ps(b, a); }
TRIREME_AVX512 __m512 min(__m512 a, __m512 b) { return _mm512_min_ps(b, a); }

// exp2() of hwy_lanes-inl.h. vreduceps is what remains after rounding to the nearest integer, ties to even, and exact;
// vscalefps multiplies by the power of two that the other makes from its bits.
TRIREME_AVX512 __m512 exp2(__m512 x) {
  x = min(max(x, set(-126.0f)), set(127.0f));
  const __m512 f = _mm512_reduce_ps(x, 0);
  __m512 y = _mm512_fmadd_ps(f, set(0.00132764725f), set(0.00967554096f));
  y = _mm512_fmadd_ps(y, f, set(0.0555071309f));
  y = _mm512_fmadd_ps(y, f, set(0.240221202f));
  y = _mm512_fmadd_ps(y, f, set(0.693146944f));
  y = _mm512_fmadd_ps(y, f, set(1.00000012f));
  return _mm512_scalef_ps(y, _mm512_sub_ps(x, f));
}

// The first n lanes, for any n.
TRIREME_AVX512 __mmask16 first_lanes(Elems n) {
  return static_cast<__mmask16>((1u << std::clamp<Elems>(n, 0, lanes)) - 1);
}

TRIREME_AVX512 void store_pair(bf16* to, __m512 low, __m512 high) {
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

// Halves onto halves, as largest() and sum() do.
TRIREME_AVX512 float largest(__m512 x) {
  __m256 half = _mm256_max_ps(_mm512_extractf32x8_ps(x, 1), _mm512_castps512_ps256(x));
  __m128 quarter = _mm_max_ps(_mm256_extractf128_ps(half, 1), _mm256_castps256_ps128(half));
  quarter = _mm_max_ps(_mm_movehl_ps(quarter, quarter), quarter);
  return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(quarter), quarter));
}
TRIREME_AVX512 float sum(__m512 x) {
  __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}

/// Scores of one row that its query sees.
struct Seen {
  Elems first, end;
  // Where pairs of vectors begin that hold some.
  Elems begin() const { return first / (2 * lanes) * (2 * lanes); }
  TRIREME_AVX512 __mmask16 lanes_at(Elems i) const {
    return static_cast<__mmask16>(first_lanes(end - i) & ~first_lanes(first - i));
  }
};

TRIREME_AVX512 float largest_score(const float* scores, const Seen& seen) {
  const __m512 lowest = set(-3e38f);
  // Two chains: which one holds the largest does not matter.
  __m512 top = lowest, other = lowest;
  Elems i = seen.begin();
  if (i < seen.first) {
    top = _mm512_mask_loadu_ps(lowest, seen.lanes_at(i), scores + i);
    other = _mm512_mask_loadu_ps(lowest, seen.lanes_at(i + lanes), scores + i + lanes);
    i += 2 * lanes;
  }
  const Elems valid = seen.end;
  for (; i + 2 * lanes <= valid; i += 2 * lanes) {
    top = max(top, _mm512_loadu_ps(scores + i));
    other = max(other, _mm512_loadu_ps(scores + i + lanes));
  }
  for (; i < valid; i += lanes) top = max(top, _mm512_mask_loadu_ps(lowest, first_lanes(valid - i), scores + i));
  return largest(max(top, other));
}

/// What the exponentials of one row are made from, their sum so far, and where they go.
struct Exponentials {
  const float* scores;
  __m512 factor, shift, total;
  bf16* p;
};
template <bool masked>
TRIREME_AVX512 void exponentials_at(Exponentials& k, const Seen& seen, Elems i) {
  __m512 low = exp2(_mm512_fmadd_ps(_mm512_loadu_ps(k.scores + i), k.factor, k.shift));
  __m512 high = exp2(_mm512_fmadd_ps(_mm512_loadu_ps(k.scores + i + lanes), k.factor, k.shift));
  if (masked)
    low = _mm512_maskz_mov_ps(seen.lanes_at(i), low), high = _mm512_maskz_mov_ps(seen.lanes_at(i + lanes), high);
  k.total = _mm512_add_ps(_mm512_add_ps(k.total, low), high);
  store_pair(k.p + i, low, high);
}

// Exponentials of one row to p, zero to both sides; returns their sum.
TRIREME_AVX512 float exponentials(const float* scores, const Seen& seen, Elems padded, float scale, float maximum,
                                  bf16* p) {
  Exponentials k = {.scores = scores, .factor = set(scale), .shift = set(-maximum), .total = set(0), .p = p};
  Elems i = 0;
  for (; i < seen.begin(); i += 2 * lanes) store_pair(p + i, set(0), set(0));
  if (i < seen.first) exponentials_at<true>(k, seen, i), i += 2 * lanes;
  for (; i + 2 * lanes <= seen.end; i += 2 * lanes) exponentials_at<false>(k, seen, i);
  for (; i < padded; i += 2 * lanes) exponentials_at<true>(k, seen, i);
  return sum(k.total);
}

TRIREME_AVX512_ENTRY void soften(const SoftenRows<bf16>& k) {
  for (Elems r = 0; r < k.rows; ++r) {
    const float* scores = k.scores + r * k.stride;
    SoftmaxState& state = k.state[r];
    const Elems valid = std::min(k.first_valid + r, k.cols);
    const Elems padded = align_up(std::min(k.first_valid + (r | (k.group - 1)), k.cols), 2);
    const Elems start = k.starts ? std::max<Elems>(k.starts[r] - k.key, 0) : 0;
    if (start >= valid) {
      for (Elems i = 0; i < padded; i += 2 * lanes) store_pair(k.p + r * k.stride + i, set(0), set(0));
      continue;
    }
    const Seen seen = {start, valid};
    const float maximum = std::max(state.maximum, largest_score(scores, seen) * k.scale);
    const __m512 factor = k.is_first ? set(0) : exp2(set(state.maximum - maximum));
    const float total = exponentials(scores, seen, padded, k.scale, maximum, k.p + r * k.stride);
    state = {maximum, state.sum * _mm512_cvtss_f32(factor) + total};
    float* mixed = k.mixed + r * k.width;
    if (!k.is_first)
      for (Elems c = 0; c < k.width; c += lanes)
        _mm512_storeu_ps(mixed + c, _mm512_mul_ps(_mm512_loadu_ps(mixed + c), factor));
  }
}

/// What the queries of two vectors of columns bring along.
struct Queries {
  __m512 scale, log_sums[2], delta[2];
  __mmask16 exist[2];
};

// 32 columns of one row. `masked`: only queries from column `first` on, and before `end`, see the key.
template <bool masked>
TRIREME_AVX512 void gradient_columns(const GradientRows<bf16>& k, const Queries& queries, Elems row, Elems col) {
  const Elems at = row * k.stride + col, from = row * k.scores_stride + col;
  __m512 p[2], ds[2];
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    p[v] = exp2(_mm512_fmsub_ps(_mm512_loadu_ps(k.scores + from + v * lanes), queries.scale, queries.log_sums[v]));
    ds[v] = _mm512_mul_ps(p[v], _mm512_sub_ps(_mm512_loadu_ps(k.d_probabilities + from + v * lanes), queries.delta[v]));
    if (masked) {
      const Elems first = row < k.valid_rows ? row - k.diagonal : k.cols;
      const Elems end = k.ends && row < k.valid_rows ? k.ends[row] - k.query : k.cols;
      const __mmask16 seen = static_cast<__mmask16>(queries.exist[v] & first_lanes(end - col - v * lanes) &
                                                    ~first_lanes(first - col - v * lanes));
      p[v] = _mm512_maskz_mov_ps(seen, p[v]), ds[v] = _mm512_maskz_mov_ps(seen, ds[v]);
    }
  }
  store_pair(k.p + at, p[0], p[1]);
  store_pair(k.ds + at, ds[0], ds[1]);
}

TRIREME_AVX512_ENTRY void gradients(const GradientRows<bf16>& k) {
  for (Elems col = 0; col < k.cols; col += 2 * lanes) {
    Queries queries = {.scale = set(k.scale), .log_sums = {}, .delta = {}, .exist = {}};
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      queries.exist[v] = first_lanes(k.cols - col - v * lanes);
      queries.log_sums[v] = _mm512_maskz_loadu_ps(queries.exist[v], k.log_sum_exp + col + v * lanes);
      queries.delta[v] = _mm512_maskz_loadu_ps(queries.exist[v], k.delta + col + v * lanes);
    }
    const Elems end = k.ends ? std::min<Elems>(k.ends[0] - k.query, k.cols) : k.cols;
    const bool whole = col + 2 * lanes <= end && k.valid_rows == k.rows && k.rows - 1 - k.diagonal <= col;
    if (whole)
      for (Elems row = 0; row < k.rows; ++row) gradient_columns<false>(k, queries, row, col);
    else
      for (Elems row = 0; row < k.rows; ++row) gradient_columns<true>(k, queries, row, col);
  }
}

TRIREME_AVX512_ENTRY void store(const StoreRows<bf16>& k) {
  for (Elems r = 0; r < k.count; ++r) {
    const __m512 factor = set(k.factors[r]);
    const float* row = k.rows + r * k.width;
    bf16* out = k.out + r * k.stride;
    Elems i = 0;
    for (; i + 2 * lanes <= k.cols; i += 2 * lanes)
      store_pair(out + i, _mm512_mul_ps(_mm512_loadu_ps(row + i), factor),
                 _mm512_mul_ps(_mm512_loadu_ps(row + i + lanes), factor));
    for (; i < k.cols; i += lanes) {
      const __m512 x = _mm512_mul_ps(_mm512_loadu_ps(row + i), factor);
      _mm256_mask_storeu_epi16(out + i, first_lanes(k.cols - i), (__m256i)_mm512_cvtneps_pbh(x));
    }
  }
}

}  // namespace

AttentionRows<bf16> attention_rows_avx512_bf16() { return {.soften = soften, .gradients = gradients, .store = store}; }

}  // namespace trireme::cpu
