#pragma once
// Sequences in a KV arena for tests of attention, and every way in which this machine computes it.

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/rope.h"
#include "tests/kernels/emulated_tiles.h"
#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {

inline constexpr Bf16 kNan = 0x7FC1;

/// Sequences whose tokens lie in the second layer of an arena that is otherwise full of NaNs.
class World {
 public:
  World(std::uint32_t n_heads, std::uint32_t n_kv_heads, std::uint32_t head_dim, std::uint32_t block_tokens,
        std::vector<std::uint32_t> lengths, const KvFormat& format = {}, bool windowed = false)
      : heads_{1, n_heads, n_kv_heads, head_dim, 0},
        geometry_{{{n_kv_heads, head_dim}, {n_kv_heads, head_dim, windowed}}, block_tokens, format} {
    std::int32_t n_blocks = 0;
    for (std::uint32_t length : lengths) {
      tables_.emplace_back(grid().covering(length));
      n_blocks += static_cast<std::int32_t>(tables_.back().size());
    }
    arena_ = KvArena(geometry_, static_cast<std::uint32_t>(n_blocks));
    const std::vector<Bf16> nans(KvArena::block_bytes(geometry_).total() / sizeof(Bf16), kNan);  // codes as well
    for (std::int32_t b = 0; b < n_blocks; ++b) arena_.write_block(b, std::as_bytes(std::span(nans)));
    std::int32_t next = n_blocks;  // blocks of a sequence lie in descending order: neither in a row nor at its place
    for (std::size_t s = 0; s < lengths.size(); ++s) {
      for (std::int32_t& block : tables_[s]) block = --next;
      keys_values_.push_back(random_values(std::size_t{lengths[s]} * 2 * n_kv_heads * head_dim, unsigned(s + 1)));
      queries_.push_back(random_values(std::size_t{lengths[s]} * n_heads * head_dim, unsigned(1000 + s)));
      for (float& query : queries_.back()) {
        query = std::bit_cast<float>(std::bit_cast<std::uint32_t>(query) & 0xFFFF0000U) * query_scale({0, 0, 0, 64}) *
                0.99F;
        // Exact in bfloat16, so that rounding queries costs nothing: what is tested is everything else.
        query = std::bit_cast<float>(std::bit_cast<std::uint32_t>(query) & 0xFFFF0000U);
      }
      for (std::uint32_t t = 0; t < lengths[s]; ++t) store(s, t);
    }
  }

  /// Sequence b begins with the first `n` blocks of sequence a.
  void share(std::size_t a, std::size_t b, std::uint32_t n) {
    std::copy_n(tables_[a].begin(), n, tables_[b].begin());
    const std::size_t floats = std::size_t{grid().begin(n)} * 2 * heads_.n_kv_heads * heads_.head_dim;
    std::copy_n(keys_values_[a].begin(), floats, keys_values_[b].begin());
  }

  /// What a sequence's token has as its key (or value) of the first KV head becomes NaN.
  void poison(std::size_t sequence, std::uint32_t token, bool value) {
    if (geometry_.format.quantised()) {
      const std::size_t size = std::size_t{2} * heads_.n_kv_heads * heads_.head_dim;
      float* numbers = keys_values_[sequence].data() + token * size + (value ? size / 2 : 0);
      numbers[1] = std::numeric_limits<float>::quiet_NaN();
      return store(sequence, token);
    }
    set(sequence, token, value, kNan);
  }
  /// The second number of a token's key (or value) of the first KV head, in a cache of 16 bits.
  void set(std::size_t sequence, std::uint32_t token, bool value, Bf16 bits) {
    Bf16* head = arena_.head(tables_[sequence][grid().block_of(token)], heads_.layer, 0);
    const std::uint32_t slot = token % geometry_.block_tokens;
    head[value ? value_place(heads_.head_dim, geometry_.block_tokens, slot, 1)
               : key_place(geometry_.block_tokens, slot, 1)] = bits;
  }

  /// The windowed layers of a sequence's first `n` blocks, and where those were.
  void give_back(std::size_t sequence, std::size_t n) {
    const auto blocks = std::span(tables_[sequence]).first(n);
    if (blocks.empty() || blocks.back() < 0) return;
    arena_.give_back({}, blocks);
    std::ranges::fill(blocks, -1);
  }

  BlockGrid grid() const { return geometry_.grid(); }

  /// The queries of a token, [n_heads, head_dim].
  float* query(std::size_t sequence, std::uint32_t token) { return queries_[sequence].data() + token * row_size(); }

  struct Rows {
    std::size_t sequence;
    std::uint32_t first, n;
  };

  /// Results of all rows one after the other.
  std::vector<float> run(AttentionPath path, const std::vector<Rows>& batch, unsigned threads,
                         bool emulated = false) const {
    std::vector<SequenceRows> sequences;
    std::vector<float> qkv;
    std::uint32_t row = 0;
    for (const Rows& rows : batch) {
      sequences.push_back({row, rows.n, rows.first, tables_[rows.sequence]});
      row += rows.n;
      const std::size_t dim = std::size_t{heads_.n_heads} * heads_.head_dim;
      for (std::uint32_t t = rows.first; t < rows.first + rows.n; ++t) {
        const float* query = queries_[rows.sequence].data() + t * dim;
        qkv.insert(qkv.end(), query, query + dim);
        qkv.resize(qkv.size() + std::size_t{2} * heads_.n_kv_heads * heads_.head_dim, NAN);
      }
    }
    std::vector<float> out(std::size_t{row} * heads_.n_heads * heads_.head_dim, -7);
    ThreadPool pool(threads);
    const AttentionKernel& tiles = geometry_.format.quantised() ? kEmulatedQuantizedAttention : kEmulatedAttention;
    Attention attention = emulated ? Attention(tiles, geometry_.format) : Attention(path, geometry_.format);
    attention.run(arena_, heads_, sequences, qkv.data(), out.data(), pool);
    return out;
  }

  void see(std::uint32_t window) { heads_.window = window; }
  void cap(float cap) { heads_.cap = cap; }

  std::vector<float> expected(AttentionPath path, const std::vector<Rows>& batch) const {
    const std::size_t dim = heads_.head_dim;
    std::vector<float> out;
    for (const Rows& rows : batch) {
      for (std::uint32_t t = rows.first; t < rows.first + rows.n; ++t) {
        for (std::uint32_t head = 0; head < heads_.n_heads; ++head) {
          out.resize(out.size() + dim);
          const float* given = queries_[rows.sequence].data() + (std::size_t{t} * heads_.n_heads + head) * dim;
          std::vector<float> query(given, given + dim);
          if (geometry_.format.quantised() && heads_.window == 0 && heads_.cap == 0) {
            if (path == AttentionPath::amx) round_to(127, query);
            if (path == AttentionPath::vnni) round_to(127 * 256, query);
          }
          attend(tables_[rows.sequence], head / (heads_.n_heads / heads_.n_kv_heads), query.data(), t + 1,
                 out.data() + out.size() - dim);
        }
      }
    }
    return out;
  }

  /// Floats of a row of results.
  std::size_t row_size() const { return std::size_t{heads_.n_heads} * heads_.head_dim; }

 private:
  /// To whole numbers up to this, as paths do it that meet codes of keys with bytes.
  static void round_to(float greatest, std::vector<float>& query) {
    float most = 0;
    for (const float x : query) most = std::max(most, std::abs(x));
    if (!std::isfinite(most) || most == 0) return;
    for (float& x : query) x = std::nearbyint(x * (greatest / most)) * (most / greatest);
  }

  void attend(const std::vector<std::int32_t>& table, std::uint32_t kv_head, const float* query, std::size_t seen,
              float* out) const {
    const std::size_t from = heads_.window > 0 && seen > heads_.window ? seen - heads_.window : 0;
    const float cap = heads_.cap * std::numbers::log2e_v<float>;
    if (!geometry_.format.quantised()) {
      std::vector<const Bf16*> blocks;
      blocks.reserve(table.size());
      for (std::int32_t block : table) blocks.push_back(arena_.head(block, heads_.layer, kv_head));
      reference::attend(query, blocks.data(), heads_.head_dim, geometry_.block_tokens, from, seen, cap, out);
      return;
    }
    const KvFormat& format = geometry_.format;
    const CodeTarget codes{heads_.head_dim, geometry_.block_tokens, 0, format.key_bits, format.value_bits};
    std::vector<const std::byte*> blocks;
    blocks.reserve(table.size());
    for (std::int32_t block : table) blocks.push_back(arena_.head_bytes(block, heads_.layer, kv_head));
    reference::attend_codes(query, blocks.data(), codes, grid(), from, seen, cap, out);
    if (format.rotate_values) reference::rotate(out, heads_.head_dim);
  }

  void store(std::size_t sequence, std::uint32_t token) {
    const std::size_t size = std::size_t{2} * heads_.n_kv_heads * heads_.head_dim;
    RopeTask task{0, heads_.n_kv_heads, heads_.head_dim};
    std::vector<float> row(keys_values_[sequence].begin() + std::ptrdiff_t(token * size),
                           keys_values_[sequence].begin() + std::ptrdiff_t((token + 1) * size));
    task.row = row.data();
    const std::uint32_t block = grid().block_of(token);
    task.block = arena_.head_bytes(tables_[sequence][block], heads_.layer, 0);
    task.head_bytes = arena_.head_size(heads_.layer);
    task.block_tokens = grid().size(block);
    task.slot = grid().slot(token);
    task.format = geometry_.format;
    if (block == 0 && grid().missing > 0) task.format.key_bits = task.format.value_bits = 8;
    reference::rope_and_store(task);
  }

  AttentionShape heads_;
  KvGeometry geometry_;
  KvArena arena_;
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<std::vector<float>> keys_values_, queries_;
};

/// A format of the cache, a path, and for the generic one an instruction set.
struct Way {
  std::string name;
  AttentionPath path = AttentionPath::generic;
  std::int64_t target = 0;
  KvFormat format{};
  bool emulated = false;  ///< tiles are

  bool takes(std::uint32_t head_dim, std::uint32_t block_tokens) const {
    const std::uint32_t least_tokens = format.first_in_8_bits ? 16 : 8;
    if (format.quantised() && (head_dim % 8 != 0 || block_tokens < least_tokens)) return false;
    return path == AttentionPath::generic || (head_dim % 16 == 0 && block_tokens % 32 == 0);
  }
  /// Weights of bfloat16 are off by 1/150 at most where their powers are of whole numbers, by 1/512 where they are
  /// only rounded, and keys and values by 1/512, each in its own way.
  float tolerance() const {
    if (path == AttentionPath::generic) return format.quantised() ? 4e-5F : 2e-5F;
    if (path == AttentionPath::vnni) return 1e-3F;  // queries and weights of 16 bits
    if (path == AttentionPath::bf16) return 5e-3F;
    return format.quantised() ? 1.2e-2F : 8e-3F;
  }
};

inline void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

/// Sanitized tests take ten times as long: there it is the widest vectors, and the narrowest.
inline std::vector<std::int64_t> targets() {
  std::vector<std::int64_t> all = highway_targets();
#ifdef __SANITIZE_ADDRESS__
  if (all.size() > 2) all.erase(all.begin() + 1, all.end() - 1);
#endif
  return all;
}

inline std::vector<Way> ways() {
  std::vector<Way> all;
  for (const std::string policy : {"0", "8", "4", "k8v4", "k4v8-norotate"}) {
    std::string suffix = policy == "0" ? "" : "_" + policy;
    std::ranges::replace(suffix, '-', '_');
    const KvFormat format = *parse_quant_policy(policy);
    for (std::int64_t target : targets()) {
      all.push_back({hwy::TargetName(target) + suffix, AttentionPath::generic, target, format});
    }
    const AttentionPath vectors = format.quantised() ? AttentionPath::vnni : AttentionPath::bf16;
    all.push_back({(format.quantised() ? "VNNI" : "BF16") + suffix, vectors, 0, format});
    all.push_back({"AMX" + suffix, AttentionPath::amx, 0, format});
    if (emulates_tiles()) all.push_back({"EmulatedAMX" + suffix, AttentionPath::amx, 0, format, true});
  }
  return all;
}

class AttentionTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (const auto lacked = lacking(GetParam().path); !lacked.empty() && !GetParam().emulated) {
      GTEST_SKIP() << "this machine has no " << lacked;
    }
    choose(GetParam().target);
  }
  void TearDown() override { choose(0); }

  static void expect_right(const World& world, const std::vector<World::Rows>& batch, const std::string& what,
                           float tolerance = GetParam().tolerance()) {
    const std::vector<float> got = run(world, batch, 2);
    const std::vector<float> want = world.expected(GetParam().path, batch);
    ASSERT_EQ(got.size(), want.size());
    float worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const float off = std::abs(got[i] - want[i]) / (1 + std::abs(want[i]));
      worst = off <= worst ? worst : off;  // a NaN is the worst
    }
    EXPECT_LE(worst, tolerance) << what;
  }

  static std::vector<float> run(const World& world, const std::vector<World::Rows>& batch, unsigned threads) {
    return world.run(GetParam().path, batch, threads, GetParam().emulated);
  }

 private:
  static void choose(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// Bits, since a NaN equals nothing.
inline bool same_bits(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}

}  // namespace headwater::kernels::cpu
