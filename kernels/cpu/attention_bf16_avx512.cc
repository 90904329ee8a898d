// Attention over a 16-bit cache by AVX512_BF16, where it multiplies faster than float32 does.
//
// Keys and values lie in pairs, as the instruction takes them; queries and weights are rounded to bfloat16. A lane adds
// up one token's score, or one number of the result, pair by pair from the first on: so a row has the same sums
// whatever rows are beside it.

#include <immintrin.h>

#include "kernels/cpu/attention_avx512.h"
#include "kernels/cpu/attention_bf16.h"
#include "kernels/cpu/attention_kernel.h"

namespace headwater::kernels::cpu {
namespace {

using namespace attention_bf16;  // NOLINT: this file is one of those that it is for

constexpr std::size_t kLanes = 16;
/// Rows whose sums stay in registers, for kVectors of tokens or dimensions.
constexpr std::size_t kTogether = 6;
constexpr std::size_t kVectors = 4;
/// Of a call, so that all are full.
constexpr std::size_t kRows = kPairedRows / kTogether * kTogether;
constexpr std::size_t kGroups = kSplitTokens / kGroupTokens;
/// Between a query's pairs: those of all rows lie side by side.
constexpr std::size_t kPairBytes = kPairedRows * 4;

/// Where the parts of the scratch memory lie.
struct Scratch {
  std::byte* queries;  ///< [head_dim / 2][kPairedRows][2] bfloat16
  std::byte* scores;   ///< [kRows] kRowBytes apart: floats, then from its start on weights, bfloat16
};
Scratch parts(std::byte* scratch, std::size_t head_dim) { return {scratch, scratch + head_dim / 2 * kPairBytes}; }
std::size_t scratch_bytes(std::size_t head_dim) { return head_dim / 2 * kPairBytes + kRows * kRowBytes; }

void begin(const QueryRows& rows) {
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  for (std::size_t row = 0; row < rows.n_rows; ++row) {
    std::byte* out = scratch.queries + row * 4;
    for (std::size_t i = 0; i < rows.head_dim; i += kLanes) {
      alignas(32) std::uint32_t pairs[kLanes / 2];
      _mm256_store_si256(reinterpret_cast<__m256i*>(pairs),
                         reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(rows.queries[row] + i))));
      for (const std::uint32_t& pair : pairs) {
        __builtin_memcpy(out, &pair, sizeof(pair));
        out += kPairBytes;
      }
    }
  }
}

[[gnu::always_inline]] inline __m512bh load(const std::uint16_t* pairs) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(pairs));
}

/// Sums of N rows and V vectors.
template <std::size_t N, std::size_t V>
struct Sums {
  __m512 of[N][V];

  [[gnu::always_inline]] inline Sums() {
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) of[q][v] = _mm512_setzero_ps();
    }
  }
  /// pairs: that of the first row; the rows' are kStride bytes apart.
  template <std::size_t kStride>
  [[gnu::always_inline]] inline void add(const __m512bh (&numbers)[V], const std::byte* pairs) {
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
      std::int32_t bits;
      __builtin_memcpy(&bits, pairs + q * kStride, sizeof(bits));
      const auto pair = reinterpret_cast<__m512bh>(_mm512_set1_epi32(bits));
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) of[q][v] = _mm512_dpbf16_ps(of[q][v], numbers[v], pair);
    }
  }
};

/// Sets of rows that are computed one after the other.
constexpr std::size_t sets_of(std::size_t n_rows) { return (n_rows + kTogether - 1) / kTogether; }
/// Lines that are asked for with each pair: a split has four for each that a set takes of keys and values.
constexpr std::size_t lines_at_once(std::size_t n_rows) { return (4 + sets_of(n_rows) - 1) / sets_of(n_rows); }

/// Some rows of a call.
struct Call {
  const QueryRows& rows;
  const Split& split;
  const Gathered& result;
  const Scratch scratch = parts(rows.scratch, rows.head_dim);
  const std::size_t head_dim = rows.head_dim;
  Ahead ahead = Ahead(split, 2 * head_dim * rows.block_tokens * sizeof(std::uint16_t));
  const std::size_t asked = split.n_next_blocks == 0 ? 0 : lines_at_once(rows.n_rows);
  const std::uint16_t* values[kGroups] = {};  ///< of find_values()

  const std::uint16_t* keys(std::size_t group) const {
    const std::size_t token = group * kGroupTokens;
    return split.blocks[token / rows.block_tokens] + token % rows.block_tokens * 2;
  }

  /// Scores of N rows and kMany groups of 32 tokens.
  template <std::size_t N, std::size_t kMany>
  void score(std::size_t row, std::size_t group) {
    constexpr std::size_t kVectorsEach = kGroupTokens / kLanes;
    const std::uint16_t* key[kMany];
    for (std::size_t g = 0; g < kMany; ++g) key[g] = keys(group + g);
    const std::byte* query = scratch.queries + row * 4;
    Sums<N, kMany * kVectorsEach> sums;
    Ahead next = ahead;  // in registers
    for (std::size_t i = 0; i < head_dim; i += 2, query += kPairBytes) {
      __m512bh numbers[kMany * kVectorsEach];
#pragma GCC unroll 8
      for (std::size_t g = 0; g < kMany; ++g) {
#pragma GCC unroll 8
        for (std::size_t v = 0; v < kVectorsEach; ++v) {
          numbers[g * kVectorsEach + v] = load(key[g] + v * 2 * kLanes);
        }
        key[g] += rows.block_tokens * 2;
      }
      sums.template add<4>(numbers, query);
      for (std::size_t line = 0; line < asked; ++line) next.line();
    }
    ahead = next;
    std::byte* scores = scratch.scores + row * kRowBytes + group * kGroupTokens * sizeof(float);
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kMany * kVectorsEach; ++v) {
        _mm512_store_ps(scores + q * kRowBytes + v * sizeof(__m512), sums.of[q][v]);
      }
    }
  }

  /// Sums of V vectors of dimensions from `dim` on, of N rows.
  template <std::size_t N, std::size_t V>
  void mix(std::size_t row, std::size_t dim) {
    const std::size_t end = split.seen[row + N - 1];
    const std::byte* weights = scratch.scores + row * kRowBytes;
    Sums<N, V> sums;
    Ahead next = ahead;  // in registers
    __m512bh numbers[V];
    const std::uint16_t* value = nullptr;
    for (std::size_t pair = 0; pair < end / 2; ++pair, weights += 4, value += 2 * head_dim) {
      if (pair % (kGroupTokens / 2) == 0) value = values[pair / (kGroupTokens / 2)] + dim * 2;
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) numbers[v] = load(value + v * 2 * kLanes);
      sums.template add<kRowBytes>(numbers, weights);
      for (std::size_t line = 0; line < asked; ++line) next.line();
    }
    ahead = next;
    if (end % 2 == 1) {  // zero times what lies in the other half might be a NaN
      if (end % kGroupTokens == 1) value = values[end / kGroupTokens] + dim * 2;
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) {
        numbers[v] = reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(0x55555555, value + v * 2 * kLanes));
      }
      sums.template add<kRowBytes>(numbers, weights);
    }
    float* out = result.sums + row * head_dim + dim;
#pragma GCC unroll 8
    for (std::size_t q = 0; q < N; ++q) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) {
        _mm512_storeu_ps(out + q * head_dim + v * kLanes, sums.of[q][v]);
      }
    }
  }

  void weigh_row(std::size_t row, std::size_t n_groups) const {
    std::byte* scores = scratch.scores + row * kRowBytes;
    const std::size_t seen = split.seen[row];
    const float greatest = greatest_of(reinterpret_cast<const float*>(scores), seen);
    const __m512 most = _mm512_set1_ps(greatest);
    const __m512 sum = weigh(scores, seen, n_groups, [&](const float* x) {
      return bf16_powers(_mm512_sub_ps(_mm512_load_ps(x), most), _mm512_sub_ps(_mm512_load_ps(x + kLanes), most));
    });
    result.most[row] = greatest;
    result.total[row] = _mm512_reduce_add_ps(sum);
  }
};

/// Calls work.run<N>(row) for rows [first, end) in sets of N that differ by one at most: kTogether, or fewer.
template <std::size_t N, class Work>
[[gnu::always_inline]] inline void run_set(std::size_t n, std::size_t row, const Work& work) {
  if (n == N) return work.template run<N>(row);
  if constexpr (N > 1) run_set<N - 1>(n, row, work);
}
template <class Work>
[[gnu::always_inline]] inline void run_sets(std::size_t first, std::size_t end, const Work& work) {
  std::size_t sets = sets_of(end - first);
  for (std::size_t row = first; row < end; --sets) {
    const std::size_t n = (end - row + sets - 1) / sets;
    run_set<kTogether>(n, row, work);
    row += n;
  }
}

/// Scores of two groups, or of the last.
struct Score {
  Call& call;
  std::size_t group;

  template <std::size_t N>
  void run(std::size_t row) const {
    const std::size_t seen = call.split.seen[row + N - 1];
    if (seen > (group + 1) * kGroupTokens) return call.score<N, 2>(row, group);
    if (seen > group * kGroupTokens) call.score<N, 1>(row, group);
  }
};

struct Weigh {
  Call& call;

  template <std::size_t N>
  void run(std::size_t row) const {
    const std::size_t n_groups = (call.split.seen[row + N - 1] + kGroupTokens - 1) / kGroupTokens;
    for (std::size_t q = 0; q < N; ++q) call.weigh_row(row + q, n_groups);
  }
};

template <std::size_t V>
struct Mix {
  Call& call;
  std::size_t dim;

  template <std::size_t N>
  void run(std::size_t row) const {
    call.mix<N, V>(row, dim);
  }
};

/// Rows [first, end). Keys and values of a step serve all of them before those of the next.
void gather_rows(Call& call, std::size_t first, std::size_t end) {
  const std::size_t seen = call.split.seen[end - 1];
  for (std::size_t group = 0; group * kGroupTokens < seen; group += 2) {
    run_sets(first, end, Score{call, group});
  }
  run_sets(first, end, Weigh{call});
  std::size_t dim = 0;
  for (; dim + kVectors * kLanes <= call.head_dim; dim += kVectors * kLanes) {
    run_sets(first, end, Mix<kVectors>{call, dim});
  }
  if (dim + 2 * kLanes <= call.head_dim) {
    run_sets(first, end, Mix<2>{call, dim});
    dim += 2 * kLanes;
  }
  if (dim < call.head_dim) run_sets(first, end, Mix<1>{call, dim});
}

void gather(const QueryRows& rows, const Split& split, const Gathered& result) {
  Call call{rows, split, result};
  find_values(rows, split, call.values);
  std::size_t row = 0;
  while (split.seen[row] == 0) ++row;
  if (split.seen[row] != split.seen[rows.n_rows - 1] && has_trap(rows, split, call.values)) {
    for (; row < rows.n_rows; ++row) gather_rows(call, row, row + 1);
  } else {
    gather_rows(call, row, rows.n_rows);
  }
  call.ahead.rest();
}

}  // namespace

const AttentionKernel kBf16Attention{kRows, scratch_bytes, begin, gather, [] {}};

}  // namespace headwater::kernels::cpu
