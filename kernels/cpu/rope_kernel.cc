// Rotates a token's queries and keys, and writes keys and values into the arena.

#include "kernels/cpu/rope.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rope_kernel.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include <cstring>

#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/ops.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Vec = hn::Vec<Floats>;

/// bfloat16 in the upper halves, what is below is of no meaning.
HWY_INLINE hn::Vec<Words> RoundUpper(Vec v) {
  const Words dw;
  const auto bits = hn::BitCast(dw, v);
  const auto lowest_kept = hn::And(hn::ShiftRight<16>(bits), hn::Set(dw, 1U));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(dw, 0x7FFFU)), lowest_kept);
  // Rounding could carry a NaN over to infinity.
  return hn::IfThenElse(hn::RebindMask(dw, hn::IsNaN(v)), hn::Or(bits, hn::Set(dw, 0x400000U)), rounded);
}
HWY_INLINE hn::Vec<Words> Pairs(Vec even, Vec odd) {
  return hn::Or(hn::ShiftRight<16>(RoundUpper(even)), hn::And(RoundUpper(odd), hn::Set(Words(), 0xFFFF0000U)));
}

HWY_INLINE void Turn(const float* x, const float* cosines, const float* sines, Vec& even, Vec& odd) {
  const Floats d;
  Vec a;
  Vec b;
  hn::LoadInterleaved2(d, x, a, b);
  const Vec c = hn::LoadU(d, cosines);
  const Vec s = hn::LoadU(d, sines);
  even = hn::Sub(hn::Mul(a, c), hn::Mul(b, s));
  odd = hn::Add(hn::Mul(a, s), hn::Mul(b, c));
}

HWY_INLINE void Query(const RopeTask& task, float* x) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const Vec scale = hn::Set(d, task.query_scale);
  std::size_t i = 0;
  for (; i + lanes <= task.pairs; i += lanes) {
    Vec even;
    Vec odd;
    Turn(x + 2 * i, task.cosines + i, task.sines + i, even, odd);
    hn::StoreInterleaved2(hn::Mul(even, scale), hn::Mul(odd, scale), d, x + 2 * i);
  }
  for (; i < task.pairs; ++i) {
    const float even = x[2 * i];
    const float odd = x[2 * i + 1];
    x[2 * i] = (even * task.cosines[i] - odd * task.sines[i]) * task.query_scale;
    x[2 * i + 1] = (even * task.sines[i] + odd * task.cosines[i]) * task.query_scale;
  }
  for (std::size_t k = 2 * i; k < task.head_dim; ++k) x[k] *= task.query_scale;
}

/// centre: what is taken from the key, once it is turned; null: nothing.
HWY_INLINE void Key(const RopeTask& task, const float* x, const float* centre, Bf16* keys) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto place = [&](std::size_t pair) { return keys + (pair * task.block_tokens + task.slot) * 2; };
  HWY_ALIGN std::uint32_t words[hn::MaxLanes(d)];
  const auto scatter = [&](hn::Vec<Words> pairs, std::size_t i) {
    hn::Store(pairs, Words(), words);
    for (std::size_t k = 0; k < lanes; ++k) std::memcpy(place(i + k), words + k, sizeof(*words));
  };
  const auto subtract = [&](Vec& even, Vec& odd, std::size_t i) {
    if (centre == nullptr) return;
    Vec even_centre;
    Vec odd_centre;
    hn::LoadInterleaved2(d, centre + 2 * i, even_centre, odd_centre);
    even = hn::Sub(even, even_centre);
    odd = hn::Sub(odd, odd_centre);
  };
  std::size_t i = 0;
  for (; i + lanes <= task.pairs; i += lanes) {
    Vec even;
    Vec odd;
    Turn(x + 2 * i, task.cosines + i, task.sines + i, even, odd);
    subtract(even, odd, i);
    scatter(Pairs(even, odd), i);
  }
  for (; i < task.pairs; ++i) {
    float turned[2] = {x[2 * i] * task.cosines[i] - x[2 * i + 1] * task.sines[i],
                       x[2 * i] * task.sines[i] + x[2 * i + 1] * task.cosines[i]};
    for (std::size_t k = 0; k < 2 && centre != nullptr; ++k) turned[k] -= centre[2 * i + k];
    reference::to_bf16(turned, 2, place(i));
  }
  for (; i + lanes <= task.head_dim / 2; i += lanes) {
    Vec even;
    Vec odd;
    hn::LoadInterleaved2(d, x + 2 * i, even, odd);
    subtract(even, odd, i);
    scatter(Pairs(even, odd), i);
  }
  for (; i < task.head_dim / 2; ++i) {
    float kept[2] = {x[2 * i], x[2 * i + 1]};
    for (std::size_t k = 0; k < 2 && centre != nullptr; ++k) kept[k] -= centre[2 * i + k];
    reference::to_bf16(kept, 2, place(i));
  }
}

HWY_INLINE void Value(const RopeTask& task, const float* x, Bf16* values) {
  const Floats d;
  const Words dw;
  const std::size_t lanes = hn::Lanes(d);
  Bf16* pairs = values + task.slot / 2 * task.head_dim * 2;
  const bool second = task.slot % 2 == 1;
  const auto upper = hn::Set(dw, 0xFFFF0000U);
  std::size_t i = 0;
  for (; i + lanes <= task.head_dim; i += lanes) {
    auto* words = reinterpret_cast<std::uint32_t*>(pairs + 2 * i);
    const auto there = hn::LoadU(dw, words);
    const auto given = RoundUpper(hn::LoadU(d, x + i));
    const auto both = second ? hn::Or(hn::And(given, upper), hn::AndNot(upper, there))
                             : hn::Or(hn::ShiftRight<16>(given), hn::And(there, upper));
    hn::StoreU(both, dw, words);
  }
  for (; i < task.head_dim; ++i) reference::to_bf16(x + i, 1, pairs + 2 * i + (second ? 1 : 0));
}

HWY_INLINE void Subtract(float* x, const float* y, std::size_t n) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Sub(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, x + i);
  for (; i < n; ++i) x[i] -= y[i];
}

void RopeAndStore(const RopeTask& task) {
  const std::size_t dim = task.head_dim;
  for (std::size_t head = 0; head < task.n_heads; ++head) Query(task, task.row + head * dim);
  const float* keys = task.row + task.n_heads * dim;
  const float* values = keys + task.n_kv_heads * dim;
  for (std::size_t head = 0; head < task.n_kv_heads; ++head) {
    auto* block = reinterpret_cast<Bf16*>(task.block + head * task.head_bytes);
    Key(task, keys + head * dim, task.centres != nullptr ? task.centres + head * dim : nullptr, block);
    Value(task, values + head * dim, block + dim * task.block_tokens);
  }
}

/// V vectors of N rows times a map, from column o on. x: copies of the rows, [N, dim].
template <std::size_t N, std::size_t V, class D>
HWY_INLINE void MapColumns(D d, const float* map, const float* x, float* const* rows, std::size_t dim, std::size_t o) {
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D> sums[N][V];
  for (std::size_t r = 0; r < N; ++r) {
    for (std::size_t v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  for (std::size_t i = 0; i < dim; ++i) {
    hn::Vec<D> column[V];
    for (std::size_t v = 0; v < V; ++v) column[v] = hn::LoadU(d, map + i * dim + o + v * lanes);
    for (std::size_t r = 0; r < N; ++r) {
      const auto number = hn::Set(d, x[r * dim + i]);
      for (std::size_t v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(number, column[v], sums[r][v]);
    }
  }
  for (std::size_t r = 0; r < N; ++r) {
    for (std::size_t v = 0; v < V; ++v) hn::StoreU(sums[r][v], d, rows[r] + o + v * lanes);
  }
}

constexpr std::size_t kMappedRows = 4;

template <std::size_t N>
HWY_INLINE void MapTogether(const float* map, float* const* rows, std::size_t dim) {
  HWY_ALIGN float x[kMappedRows * kMostQuantisedDims];
  for (std::size_t r = 0; r < N; ++r) std::memcpy(x + r * dim, rows[r], dim * sizeof(float));
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  constexpr std::size_t kVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  std::size_t o = 0;
  for (; o + kVectors * lanes <= dim; o += kVectors * lanes) MapColumns<N, kVectors>(d, map, x, rows, dim, o);
  for (; o + lanes <= dim; o += lanes) MapColumns<N, 1>(d, map, x, rows, dim, o);
  if (o < dim) MapColumns<N, 1>(hn::CappedTag<float, 8>(), map, x, rows, dim, o);
}

void MapRows(const float* map, float* const* rows, std::size_t n, std::size_t dim) {
  for (; n >= kMappedRows; n -= kMappedRows, rows += kMappedRows) MapTogether<kMappedRows>(map, rows, dim);
  if (n == 3) MapTogether<3>(map, rows, dim);
  if (n == 2) MapTogether<2>(map, rows, dim);
  if (n == 1) MapTogether<1>(map, rows, dim);
}

/// Turns a token's queries and keys, and takes the centres from these.
HWY_INLINE void TurnHeads(const RopeTask& task) {
  const std::size_t dim = task.head_dim;
  for (std::size_t head = 0; head < task.n_heads; ++head) Query(task, task.row + head * dim);
  RopeTask turning = task;
  turning.query_scale = 1;
  for (std::size_t head = 0; head < task.n_kv_heads; ++head) {
    float* key = task.row + (task.n_heads + head) * dim;
    Query(turning, key);
    if (task.centres != nullptr) Subtract(key, task.centres + head * dim, dim);
  }
}

/// Maps the queries and keys of tokens, a KV head after the other: a map serves all tokens while it is in the cache.
HWY_INLINE void MapHeads(const RopeTask* tokens, std::size_t n) {
  const RopeTask& task = tokens[0];
  const std::size_t dim = task.head_dim;
  const std::size_t group = task.n_heads / task.n_kv_heads;
  constexpr std::size_t kRows = 64;
  float* rows[kRows];
  for (std::size_t head = 0; head < task.n_kv_heads; ++head) {
    for (std::size_t t = 0; t < n; ++t) rows[t] = tokens[t].row + (task.n_heads + head) * dim;
    MapRows(task.key_maps + head * dim * dim, rows, n, dim);
    const float* map = task.query_maps + head * dim * dim;
    std::size_t filled = 0;
    for (std::size_t i = 0; i < n * group; ++i) {
      rows[filled++] = tokens[i / group].row + (head * group + i % group) * dim;
      if (filled < kRows) continue;
      MapRows(map, rows, filled, dim);
      filled = 0;
    }
    MapRows(map, rows, filled, dim);
  }
}

/// Puts a token's keys and values into a quantised block.
HWY_INLINE void StoreCodes(const RopeTask& task) {
  const std::size_t dim = task.head_dim;
  const CodeTarget target{dim, task.block_tokens, task.slot, task.format.key_bits, task.format.value_bits};
  for (std::size_t head = 0; head < task.n_kv_heads; ++head) {
    std::byte* block = task.block + head * task.head_bytes;
    float* key = task.row + (task.n_heads + head) * dim;
    store_key_codes(target, key, block);
    float* value = key + task.n_kv_heads * dim;
    if (task.format.rotate_values) rotate(value, dim);
    if (task.value_scales != nullptr) multiply(value, task.value_scales[head], dim);
    store_value_codes(target, value, block);
  }
}

void RopeAndStoreCodes(const RopeTask* tokens, std::size_t n) {
  for (std::size_t t = 0; t < n; ++t) TurnHeads(tokens[t]);
  if (tokens[0].key_maps != nullptr) MapHeads(tokens, n);
  for (std::size_t t = 0; t < n; ++t) StoreCodes(tokens[t]);
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels::cpu {

HWY_EXPORT(RopeAndStore);
HWY_EXPORT(RopeAndStoreCodes);
HWY_EXPORT(MapRows);

void rope_and_store(std::span<const RopeTask> tokens) {
  if (tokens[0].format.quantised()) {
    HWY_DYNAMIC_DISPATCH(RopeAndStoreCodes)(tokens.data(), tokens.size());
  } else {
    for (const RopeTask& task : tokens) HWY_DYNAMIC_DISPATCH(RopeAndStore)(task);
  }
}
void map_rows(const float* map, float* const* rows, std::size_t n, std::size_t dim) {
  HWY_DYNAMIC_DISPATCH(MapRows)(map, rows, n, dim);
}

}  // namespace headwater::kernels::cpu
#endif
