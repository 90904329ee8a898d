#include "kernels/cpu/attention.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <ostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/kernels/values.h"

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/kv_codes.h"
#include "kernels/cpu/rope.h"

namespace headwater::kernels::cpu {
namespace {

constexpr Bf16 kNan = 0x7FC1;

/// Sequences whose tokens lie in the second layer of an arena that is otherwise full of NaNs.
class World {
 public:
  World(std::uint32_t n_heads, std::uint32_t n_kv_heads, std::uint32_t head_dim, std::uint32_t block_tokens,
        std::vector<std::uint32_t> lengths, const KvFormat& format = {})
      : heads_{1, n_heads, n_kv_heads, head_dim, 0}, shape_{2, n_kv_heads, head_dim, block_tokens, format} {
    std::int32_t n_blocks = 0;
    for (std::uint32_t length : lengths) {
      tables_.emplace_back((length + block_tokens - 1) / block_tokens);
      n_blocks += static_cast<std::int32_t>(tables_.back().size());
    }
    arena_ = KvArena(shape_, static_cast<std::uint32_t>(n_blocks));
    std::fill_n(arena_.head(0, 0, 0), n_blocks * KvArena::block_bytes(shape_) / sizeof(Bf16), kNan);  // codes as well
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
  void share(std::size_t a, std::size_t b, std::size_t n) {
    std::copy_n(tables_[a].begin(), n, tables_[b].begin());
    const std::size_t floats = n * shape_.block_tokens * 2 * shape_.n_kv_heads * shape_.head_dim;
    std::copy_n(keys_values_[a].begin(), floats, keys_values_[b].begin());
  }

  /// What a sequence's token has as its key (or value) of the first KV head becomes NaN.
  void poison(std::size_t sequence, std::uint32_t token, bool value) {
    if (shape_.format.quantised()) {
      const std::size_t size = std::size_t{2} * shape_.n_kv_heads * shape_.head_dim;
      float* numbers = keys_values_[sequence].data() + token * size + (value ? size / 2 : 0);
      numbers[1] = std::numeric_limits<float>::quiet_NaN();
      return store(sequence, token);
    }
    Bf16* head = arena_.head(tables_[sequence][token / shape_.block_tokens], heads_.layer, 0);
    const std::uint32_t slot = token % shape_.block_tokens;
    head[value ? value_place(shape_.head_dim, shape_.block_tokens, slot, 1) : key_place(shape_.block_tokens, slot, 1)] =
        kNan;
  }

  /// The queries of a token, [n_heads, head_dim].
  float* query(std::size_t sequence, std::uint32_t token) { return queries_[sequence].data() + token * row_size(); }

  struct Rows {
    std::size_t sequence;
    std::uint32_t first, n;
  };

  /// Results of all rows one after the other.
  std::vector<float> run(AttentionPath path, const std::vector<Rows>& batch, unsigned threads) const {
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
    Attention(path, shape_.format).run(arena_, heads_, sequences, qkv.data(), out.data(), pool);
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
          const bool amx = path == AttentionPath::amx && heads_.window == 0 && heads_.cap == 0;
          if (amx && shape_.format.quantised()) round_to_bytes(query);
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
  /// As a path that meets the codes of keys with bytes does it.
  static void round_to_bytes(std::vector<float>& query) {
    float most = 0;
    for (const float x : query) most = std::max(most, std::abs(x));
    if (!std::isfinite(most) || most == 0) return;
    for (float& x : query) x = std::nearbyint(x * (127 / most)) * (most / 127);
  }

  void attend(const std::vector<std::int32_t>& table, std::uint32_t kv_head, const float* query, std::size_t seen,
              float* out) const {
    const std::size_t from = heads_.window > 0 && seen > heads_.window ? seen - heads_.window : 0;
    const float cap = heads_.cap * std::numbers::log2e_v<float>;
    if (!shape_.format.quantised()) {
      std::vector<const Bf16*> blocks;
      for (std::int32_t block : table) blocks.push_back(arena_.head(block, heads_.layer, kv_head));
      reference::attend(query, blocks.data(), shape_.head_dim, shape_.block_tokens, from, seen, cap, out);
      return;
    }
    std::vector<const std::byte*> blocks;
    for (std::int32_t block : table) blocks.push_back(arena_.head_bytes(block, heads_.layer, kv_head));
    reference::attend_codes(query, blocks.data(), shape_, from, seen, cap, out);
    if (shape_.format.rotate_values) reference::rotate(out, shape_.head_dim);
  }

  void store(std::size_t sequence, std::uint32_t token) {
    const std::size_t size = std::size_t{2} * shape_.n_kv_heads * shape_.head_dim;
    RopeTask task{0, shape_.n_kv_heads, shape_.head_dim};
    std::vector<float> row(keys_values_[sequence].begin() + std::ptrdiff_t(token * size),
                           keys_values_[sequence].begin() + std::ptrdiff_t((token + 1) * size));
    task.row = row.data();
    task.block = arena_.head_bytes(tables_[sequence][token / shape_.block_tokens], heads_.layer, 0);
    task.block_tokens = shape_.block_tokens;
    task.slot = token % shape_.block_tokens;
    task.format = shape_.format;
    reference::rope_and_store(task);
  }

  AttentionShape heads_;
  KvShape shape_;
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

  bool takes(std::uint32_t head_dim, std::uint32_t block_tokens) const {
    if (format.quantised() && (head_dim % 8 != 0 || block_tokens < 8)) return false;
    return path == AttentionPath::generic || (head_dim % 16 == 0 && block_tokens % 32 == 0);
  }
  /// Weights of bfloat16 are off by 1/150 at most, keys and values by 1/512, each in its own way.
  float tolerance() const {
    if (path == AttentionPath::generic) return format.quantised() ? 4e-5F : 2e-5F;
    return format.quantised() ? 1.2e-2F : 8e-3F;
  }
};

void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

/// Sanitized tests take ten times as long: there it is the widest vectors, and the narrowest.
std::vector<std::int64_t> targets() {
  std::vector<std::int64_t> all = hwy::SupportedAndGeneratedTargets();
#ifdef __SANITIZE_ADDRESS__
  if (all.size() > 2) all.erase(all.begin() + 1, all.end() - 1);
#endif
  return all;
}

std::vector<Way> ways() {
  std::vector<Way> all;
  for (const std::string policy : {"0", "8", "4", "k8v4", "k4v8-norotate"}) {
    std::string suffix = policy == "0" ? "" : "_" + policy.substr(0, policy.find('-'));
    const KvFormat format = *parse_quant_policy(policy);
    for (std::int64_t target : targets()) {
      all.push_back({hwy::TargetName(target) + suffix, AttentionPath::generic, target, format});
    }
    if (cpu_features().amx) all.push_back({"AMX" + suffix, AttentionPath::amx, 0, format});
  }
  return all;
}

class AttentionTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override { choose(GetParam().target); }
  void TearDown() override { choose(0); }

  static void expect_right(const World& world, const std::vector<World::Rows>& batch, const std::string& what,
                           float tolerance = GetParam().tolerance()) {
    const std::vector<float> got = world.run(GetParam().path, batch, 2);
    const std::vector<float> want = world.expected(GetParam().path, batch);
    ASSERT_EQ(got.size(), want.size());
    float worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const float off = std::abs(got[i] - want[i]) / (1 + std::abs(want[i]));
      worst = off <= worst ? worst : off;  // a NaN is the worst
    }
    EXPECT_LE(worst, tolerance) << what;
  }

 private:
  static void choose(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// Bits, since a NaN equals nothing.
bool same_bits(const float* a, const float* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

TEST_P(AttentionTest, AgreesWithItsReferenceForEveryShapeOfHeadsAndBlocks) {
  const std::uint32_t heads[][2] = {{1, 1}, {9, 3}, {8, 2}, {8, 1}};
  for (std::uint32_t dim : {64U, 80U, 96U, 128U, 256U, 16U, 10U, 8U, 72U}) {
    for (std::uint32_t block_tokens : {8U, 16U, 32U, 64U, 256U, 2U}) {
      if (!GetParam().takes(dim, block_tokens)) continue;
      for (const auto& [n_heads, n_kv_heads] : heads) {
        const World world(n_heads, n_kv_heads, dim, block_tokens, {1, 23, 260}, GetParam().format);
        expect_right(world, {{0, 0, 1}, {1, 0, 23}, {2, 259, 1}, {2, 253, 5}},
                     std::to_string(dim) + " in blocks of " + std::to_string(block_tokens) + ", heads " +
                         std::to_string(n_heads) + "/" + std::to_string(n_kv_heads));
      }
    }
  }
}

TEST_P(AttentionTest, AgreesWithItsReferenceForEveryWindow) {
  World world(3, 1, 64, 32, {1300}, GetParam().format);
  for (const std::uint32_t window : {1U, 2U, 31U, 32U, 33U, 255U, 256U, 257U, 512U, 600U, 5000U}) {
    world.see(window);
    for (const std::uint32_t context : {1U, 33U, 256U, 257U, 513U, 769U, 1300U}) {
      const std::string where = " with a window of " + std::to_string(window);
      expect_right(world, {{0, context - 1, 1}}, "decoding at " + std::to_string(context) + where);
      const std::uint32_t n = std::min(context, 47U);
      expect_right(world, {{0, context - n, n}}, "a chunk up to " + std::to_string(context) + where);
    }
  }
}

TEST_P(AttentionTest, AgreesWithItsReferenceForEveryCap) {
  World world(8, 2, 64, 32, {600}, GetParam().format);
  for (const float cap : {0.1F, 1.0F, 50.0F}) {
    world.cap(cap);
    for (const std::uint32_t window : {0U, 100U}) {
      world.see(window);
      expect_right(world, {{0, 0, 40}, {0, 599, 1}, {0, 250, 20}}, "a cap of " + std::to_string(cap));
    }
  }
}

TEST_P(AttentionTest, ARowOfAWindowHasTheSameBitsInAnyBatchAndReadsNothingBeforeIt) {
  for (const std::uint32_t window : {5U, 64U, 300U}) {
    World world(8, 2, 64, 32, {900, 700}, GetParam().format);
    world.see(window);
    const std::vector<float> whole = world.run(GetParam().path, {{0, 0, 900}, {1, 0, 700}}, 2);
    // Whole blocks before the window may be anybody's.
    for (std::uint32_t t = 0; t < (850 - window) / 32 * 32; ++t) {
      world.poison(0, t, false);
      world.poison(0, t, true);
    }
    for (const std::uint32_t n : {1U, 3U, 50U}) {
      const std::vector<float> some =
          world.run(GetParam().path, {{1, 650, 2}, {0, 900 - n, n}, {1, 699, 1}}, 1 + n % 2);
      EXPECT_TRUE(same_bits(some.data() + 2 * world.row_size(), whole.data() + (900 - n) * world.row_size(),
                            n * world.row_size()))
          << n << " rows, a window of " << window;
      EXPECT_TRUE(same_bits(some.data(), whole.data() + (900 + 650) * world.row_size(), 2 * world.row_size()));
    }
  }
}

TEST_P(AttentionTest, AgreesWithItsReferenceAroundTheEdgesOfSplits) {
  const World world(3, 1, 64, 32, {1300}, GetParam().format);
  for (std::uint32_t context : {1U, 2U, 31U, 32U, 33U, 127U, 255U, 256U, 257U, 509U, 512U, 513U, 769U, 1300U}) {
    expect_right(world, {{0, context - 1, 1}}, "decoding at " + std::to_string(context));
    const std::uint32_t n = std::min(context, 23U);
    expect_right(world, {{0, context - n, n}}, "a chunk up to " + std::to_string(context));
  }
}

TEST_P(AttentionTest, ARowHasTheSameBitsInAnyChunkBatchAndNumberOfThreads) {
  for (const auto& [n_heads, n_kv_heads, dim] : {std::array{9U, 3U, 64U}, {8U, 1U, 80U}, {2U, 2U, 128U}}) {
    constexpr std::uint32_t kLength = 700;
    World world(n_heads, n_kv_heads, dim, 32, {kLength, 300, 90}, GetParam().format);
    const std::size_t size = world.row_size();
    for (std::uint32_t t = 0; t < kLength; t += 7) {  // scores so far apart that a kernel may take another way for them
      for (std::size_t i = 0; i < size; ++i) world.query(0, t)[i] *= 64;
    }
    const std::vector<float> whole = world.run(GetParam().path, {{0, 0, kLength}}, 1);
    std::mt19937 random(1);
    for (unsigned threads : {1U, 2U, 3U}) {
      for (std::uint32_t row = 0; row < kLength;) {
        const std::uint32_t n = std::min(kLength - row, random() % 3 == 0 ? 1 + unsigned(random() % 90) : 1);
        std::vector<World::Rows> batch = {{0, row, n}};
        if (random() % 2 == 0) batch.push_back({1, 299, 1});
        if (random() % 2 == 0) batch.push_back({2, 0, 90});
        const std::vector<float> got = world.run(GetParam().path, batch, threads);
        ASSERT_TRUE(same_bits(got.data(), whole.data() + row * size, n * size))
            << n << " rows from " << row << ", " << threads << " threads";
        row += n + (n == 1 ? random() % 40 : 0);
      }
    }
  }
}

TEST_P(AttentionTest, SequencesThatShareAPrefixGetTheSameBitsAsAlone) {
  for (const auto& [n_heads, n_kv_heads] : {std::array{9U, 3U}, {8U, 1U}}) {
    // A tree: 0, 1, 2 and 3 have a prefix of two splits in common, 1 and 2 one of four, 4 and 5 one that ends with a
    // context's last token, 6 and 7 one that is shorter than a split.
    World world(n_heads, n_kv_heads, 64, 32, {1100, 1200, 1090, 600, 513, 700, 300, 280, 1100}, GetParam().format);
    for (std::size_t b : {1U, 2U, 3U}) world.share(0, b, 16);
    world.share(1, 2, 32);
    world.share(4, 5, 16);
    world.share(6, 7, 7);
    const std::vector<World::Rows> batch = {{3, 598, 1},  {2, 1089, 1}, {8, 1099, 1}, {0, 1099, 1}, {5, 699, 1},
                                            {1, 1199, 1}, {4, 511, 1},  {6, 290, 10}, {7, 279, 1}};
    std::vector<float> alone;
    for (const World::Rows& rows : batch) {
      const std::vector<float> one = world.run(GetParam().path, {rows}, 1);
      alone.insert(alone.end(), one.begin(), one.end());
    }
    expect_right(world, batch, "together");
    for (unsigned threads : {1U, 2U, 5U}) {
      const std::vector<float> together = world.run(GetParam().path, batch, threads);
      EXPECT_TRUE(same_bits(together.data(), alone.data(), alone.size())) << threads << " threads";
    }
  }
}

TEST_P(AttentionTest, ANanReachesNeitherOtherSequencesNorTheTokensBeforeIt) {
  for (bool value : {false, true}) {
    for (std::uint32_t at : {40U, 41U, 47U, 300U, 340U}) {
      World world(3, 1, 64, 32, {350, 350}, GetParam().format);
      const std::vector<World::Rows> batch = {{0, 0, 350}, {1, 349, 1}, {1, 0, 340}};
      const std::size_t size = world.row_size();
      const std::vector<float> before = world.run(GetParam().path, batch, 2);
      world.poison(0, at, value);
      const std::vector<float> after = world.run(GetParam().path, batch, 2);
      EXPECT_TRUE(same_bits(after.data(), before.data(), at * size)) << at;
      EXPECT_TRUE(same_bits(after.data() + 350 * size, before.data() + 350 * size, 341 * size)) << at;
      for (std::size_t row = at; row < 350; ++row) EXPECT_TRUE(std::isnan(after[row * size + 1])) << row;
    }
  }
}

TEST_P(AttentionTest, AQueryThatIsNanMakesOnlyItsOwnRowNan) {
  World world(3, 1, 64, 32, {60}, GetParam().format);
  const std::vector<float> before = world.run(GetParam().path, {{0, 0, 60}}, 2);
  world.query(0, 17)[64] = std::numeric_limits<float>::quiet_NaN();  // of the second head
  const std::vector<float> after = world.run(GetParam().path, {{0, 0, 60}}, 2);
  const std::size_t row = 17 * world.row_size() + 64;
  for (std::size_t i = row; i < row + 64; ++i) EXPECT_TRUE(std::isnan(after[i]));
  EXPECT_TRUE(same_bits(after.data(), before.data(), row));
  EXPECT_TRUE(same_bits(after.data() + row + 64, before.data() + row + 64, before.size() - row - 64));
}

TEST_P(AttentionTest, ScoresFarApartNeitherOverflowNorLoseTheGreatest) {
  World world(1, 1, 64, 32, {600}, GetParam().format);
  for (std::uint32_t t = 0; t < 600; ++t) {
    for (std::size_t i = 0; i < 64; ++i) world.query(0, t)[i] *= 64;
  }
  expect_right(world, {{0, 0, 600}}, "sharp", GetParam().tolerance());
}

INSTANTIATE_TEST_SUITE_P(Ways, AttentionTest, testing::ValuesIn(ways()),
                         [](const auto& test) { return test.param.name; });

TEST(BestAttentionPath, IsTheGenericOneForShapesThatTilesCannotTake) {
  EXPECT_EQ(best_attention_path({1, 1, 64, 16}), AttentionPath::generic);
  EXPECT_EQ(best_attention_path({1, 1, 72, 32}), AttentionPath::generic);
  EXPECT_EQ(best_attention_path({1, 1, 80, 32}), cpu_features().amx ? AttentionPath::amx : AttentionPath::generic);
}

TEST(Attention, RefusesAPathThatThisMachineDoesNotHave) {
  if (cpu_features().amx) GTEST_SKIP() << "this machine has all";
  EXPECT_THROW(Attention(AttentionPath::amx), std::logic_error);
}

TEST(KvArena, RefusesShapesThatItsPairsCannotHold) {
  EXPECT_THROW(KvArena({1, 1, 63, 32}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({1, 1, 64, 24}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({1, 1, 64, 512}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({1, 1, 60, 32, *parse_quant_policy("8")}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({1, 1, 64, 4, *parse_quant_policy("8")}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({1, 1, 2048, 32, *parse_quant_policy("4")}, 1), std::invalid_argument);
}

TEST(KvArena, HoldsMoreOfFewerBits) {
  const auto bytes = [](const char* policy) {
    return double(KvArena::block_bytes({30, 3, 64, 32, *parse_quant_policy(policy)}));
  };
  EXPECT_GE(bytes("0") / bytes("8"), 1.88);
  EXPECT_GE(bytes("0") / bytes("4"), 3.55);
  EXPECT_GE(bytes("0") / bytes("k8v4"), 2.46);
}

}  // namespace
}  // namespace headwater::kernels::cpu
