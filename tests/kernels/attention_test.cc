#include "kernels/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/kernels/attention_world.h"

namespace headwater::kernels::cpu {
namespace {

TEST_P(AttentionTest, AgreesWithItsReferenceForEveryShapeOfHeadsAndBlocks) {
  const std::uint32_t heads[][2] = {{1, 1}, {9, 3}, {8, 2}, {7, 1}, {8, 1}};
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
    const std::vector<float> whole = run(world, {{0, 0, kLength}}, 1);
    std::mt19937 random(1);
    for (unsigned threads : {1U, 2U, 3U}) {
      for (std::uint32_t row = 0; row < kLength;) {
        const std::uint32_t n = std::min(kLength - row, random() % 3 == 0 ? 1 + unsigned(random() % 90) : 1);
        std::vector<World::Rows> batch = {{0, row, n}};
        if (random() % 2 == 0) batch.push_back({1, 299, 1});
        if (random() % 2 == 0) batch.push_back({2, 0, 90});
        const std::vector<float> got = run(world, batch, threads);
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
      const std::vector<float> one = run(world, {rows}, 1);
      alone.insert(alone.end(), one.begin(), one.end());
    }
    expect_right(world, batch, "together");
    for (unsigned threads : {1U, 2U, 5U}) {
      const std::vector<float> together = run(world, batch, threads);
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
      const std::vector<float> before = run(world, batch, 2);
      world.poison(0, at, value);
      const std::vector<float> after = run(world, batch, 2);
      EXPECT_TRUE(same_bits(after.data(), before.data(), at * size)) << at;
      EXPECT_TRUE(same_bits(after.data() + 350 * size, before.data() + 350 * size, 341 * size)) << at;
      for (std::size_t row = at; row < 350; ++row) EXPECT_TRUE(std::isnan(after[row * size + 1])) << row;
    }
  }
}

/// In a cache whose values are floats.
class FloatAttention : public AttentionTest {};

TEST_P(FloatAttention, HasTheSameBitsBesideRowsThatSeeMoreWhereASumVanishesBelowZero) {
  constexpr std::uint32_t kLength = 60;
  constexpr std::uint32_t kBelowZero = 27;  // rows before it stand beside some that see what lies above zero
  constexpr Bf16 kEight = 0x4100;
  constexpr Bf16 kOne = 0x3F80;
  constexpr Bf16 kNegativeZero = 0x8000;
  constexpr Bf16 kLeastBelowZero = 0x8080;  // any weight below one makes it a denormal
  World world(1, 1, 64, 32, {kLength}, GetParam().format);
  for (std::uint32_t t = 0; t < kLength; ++t) {
    world.query(0, t)[1] = 8;  // the first token has the greatest weight
    world.set(0, t, true, t == 0 ? kNegativeZero : t < kBelowZero ? kLeastBelowZero : kOne);
  }
  world.set(0, 0, false, kEight);
  const std::vector<float> all = run(world, {{0, 0, kLength}}, 1);
  for (std::uint32_t row = 0; row < kLength; ++row) {
    const std::vector<float> alone = run(world, {{0, row, 1}}, 1);
    EXPECT_TRUE(same_bits(alone.data(), all.data() + row * world.row_size(), world.row_size())) << row;
  }
}

TEST_P(AttentionTest, AQueryThatIsNanMakesOnlyItsOwnRowNan) {
  World world(3, 1, 64, 32, {60}, GetParam().format);
  const std::vector<float> before = run(world, {{0, 0, 60}}, 2);
  world.query(0, 17)[64] = std::numeric_limits<float>::quiet_NaN();  // of the second head
  const std::vector<float> after = run(world, {{0, 0, 60}}, 2);
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
  // Such scores, in hundreds, magnify what rounding their sums leaves.
  expect_right(world, {{0, 0, 600}}, "sharp", 4 * GetParam().tolerance());
}

INSTANTIATE_TEST_SUITE_P(Ways, AttentionTest, testing::ValuesIn(ways()),
                         [](const auto& test) { return test.param.name; });

std::vector<Way> ways_to_floats() {
  std::vector<Way> all = ways();
  std::erase_if(all, [](const Way& way) { return way.format.quantised(); });
  return all;
}
INSTANTIATE_TEST_SUITE_P(Ways, FloatAttention, testing::ValuesIn(ways_to_floats()),
                         [](const auto& test) { return test.param.name; });

TEST(Tiles, CannotTakeSomeShapes) {
  EXPECT_FALSE(tiles_take(64, 16, {}));
  EXPECT_FALSE(tiles_take(72, 32, {}));
  EXPECT_TRUE(tiles_take(80, 32, {}));
}

TEST(Attention, RefusesPathsThatThisMachineDoesNotHave) {
  for (const AttentionPath path : {AttentionPath::vnni, AttentionPath::bf16, AttentionPath::amx}) {
    const auto make = [&] { static_cast<void>(Attention(path)); };
    if (lacking(path).empty()) {
      EXPECT_NO_THROW(make());
    } else {
      EXPECT_THROW(make(), std::logic_error) << lacking(path);
    }
  }
}

TEST(KvArena, RefusesShapesThatItsPairsCannotHold) {
  EXPECT_THROW(KvArena({{{1, 63}}, 32}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({{{1, 64}}, 24}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({{{1, 64}}, 512}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({{{1, 60}}, 32, format_of("8")}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({{{1, 64}}, 4, format_of("8")}, 1), std::invalid_argument);
  EXPECT_THROW(KvArena({{{1, 2048}}, 32, format_of("4")}, 1), std::invalid_argument);
}

TEST(KvArena, HoldsMoreOfFewerBits) {
  const auto bytes = [](const char* policy) {
    return double(KvArena::block_bytes({std::vector<KvLayer>(30, {3, 64}), 32, format_of(policy)}).total());
  };
  EXPECT_GE(bytes("0") / bytes("8"), 1.88);
  EXPECT_GE(bytes("0") / bytes("4"), 3.55);
  EXPECT_GE(bytes("0") / bytes("k8v4"), 2.46);
}

}  // namespace
}  // namespace headwater::kernels::cpu
