#include "kernels/cpu/rope.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {
namespace {

class Rope : public EveryTarget {};

TEST_P(Rope, AndStoringAreExactlyTheReferenceAndTouchNoOtherToken) {
  constexpr std::size_t kTokens = 8;
  for (std::size_t dim : {2U, 10U, 16U, 64U, 80U, 96U, 128U, 256U}) {
    for (std::size_t pairs : {dim / 2, dim / 4, std::size_t{0}}) {
      std::vector<float> cosines(pairs);
      std::vector<float> sines(pairs);
      for (std::size_t i = 0; i < pairs; ++i) {
        cosines[i] = std::cos(static_cast<float>(i));
        sines[i] = std::sin(static_cast<float>(i));
      }
      std::vector<Bf16> blocks[2];
      for (auto& block : blocks) block.assign(2 * 2 * dim * kTokens, 0x7FC1);
      for (std::size_t slot : {3U, 4U, 5U}) {
        std::vector<float> rows[2];
        for (int i : {0, 1}) {
          rows[i] = random_values(7 * dim, unsigned(slot), 3);
          rows[i][3 * dim] = 1e30F;                                       // the first key
          rows[i][5 * dim] = -1e-40F;                                     // the first value
          rows[i][5 * dim + 1] = std::numeric_limits<float>::infinity();  // and the next
          RopeTask task{3, 2, dim, pairs, cosines.data(), sines.data(), 0.125F};
          task.row = rows[i].data();
          task.block = blocks[i].data();
          task.block_tokens = kTokens;
          task.slot = slot;
          i == 0 ? rope_and_store(task) : reference::rope_and_store(task);
        }
        EXPECT_EQ(rows[0], rows[1]) << dim;
      }
      EXPECT_EQ(blocks[0], blocks[1]) << dim << " of which pairs turned: " << pairs;
    }
  }
}

TEST_P(Rope, KeepsANanANan) {
  std::vector<float> row(3 * 64);
  row[64] = std::bit_cast<float>(0x7FFFFFFFU);   // key: rounding would carry it over to -0
  row[128] = std::bit_cast<float>(0x7F800001U);  // value: its upper half is infinity
  row[128 + 33] = std::bit_cast<float>(0xFFFFFFFFU);
  std::vector<Bf16> block(2 * 64 * 8);
  RopeTask task{1, 1, 64};
  task.row = row.data();
  task.block = block.data();
  task.block_tokens = 8;
  rope_and_store(task);
  const auto is_nan = [&](std::size_t place) { return std::isnan(std::bit_cast<float>(block[place] << 16)); };
  EXPECT_TRUE(is_nan(key_place(8, 0, 0)));
  EXPECT_TRUE(is_nan(value_place(64, 8, 0, 0)));
  EXPECT_TRUE(is_nan(value_place(64, 8, 0, 33)));
  EXPECT_FALSE(is_nan(value_place(64, 8, 0, 1)));
}

INSTANTIATE_TEST_SUITE_P(Targets, Rope, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& test) { return std::string(hwy::TargetName(test.param)); });

/// The arena and the queries after two sequences' rows, given in chunks.
struct Stored {
  std::vector<Bf16> arena;
  std::vector<float> rows;
  bool operator==(const Stored&) const = default;
};

Stored store(std::uint32_t chunk, unsigned threads) {
  constexpr std::uint32_t kLength = 61;
  constexpr std::size_t kRow = (6 + 2 * 2) * 16;
  const AttentionShape heads{1, 6, 2, 16, 12};
  const KvShape shape{2, 2, 16, 8};
  const std::vector<std::int32_t> tables[2] = {{3, 9, 1, 8, 0, 5, 2, 4}, {10, 12, 7, 6, 13, 11, 15, 14}};
  const KvArena arena(shape, 16);
  const std::vector<float> frequencies = {1, 0.5, 0.25, 0.125, 0.0625, 0.03125};
  Rotary rotary;
  rotary.set(frequencies);
  ThreadPool pool(threads);
  Stored result;
  result.rows = random_values(2 * kLength * kRow, 1, 3);
  for (std::uint32_t first = 0; first < kLength; first += chunk) {
    const std::uint32_t n = std::min(chunk, kLength - first);
    std::vector<SequenceRows> sequences;
    for (std::uint32_t s : {0U, 1U}) sequences.push_back({s * kLength + first, n, first, tables[s]});
    rotary.rotate_and_store(arena, heads, sequences, result.rows.data(), pool);
  }
  result.arena.assign(arena.head(0, 0, 0), arena.head(16, 0, 0));
  return result;
}

TEST(Rotary, LeavesTheSameInTheArenaInAnyChunksAndWithAnyNumberOfThreads) {
  const Stored whole = store(61, 1);
  for (std::uint32_t chunk : {1U, 2U, 7U, 17U, 61U}) {
    for (unsigned threads : {1U, 2U, 3U}) EXPECT_EQ(store(chunk, threads), whole) << chunk << ", " << threads;
  }
}

TEST(Rotary, TurnsPairsOfNeighboursByPositionTimesFrequency) {
  const KvArena arena({1, 1, 4, 8}, 1);
  const std::vector<float> frequencies = {1, 0.5};
  const std::vector<std::int32_t> table = {0};
  Rotary rotary;
  rotary.set(frequencies);
  ThreadPool pool(1);
  std::vector<float> row = {1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0};
  const SequenceRows sequence{0, 1, 3, table};
  rotary.rotate_and_store(arena, {0, 1, 1, 4, 4}, {&sequence, 1}, row.data(), pool);
  const float want[] = {std::cos(3.0F), std::sin(3.0F), -std::sin(1.5F), std::cos(1.5F)};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(row[i], want[i] * std::log2(std::exp(1.0F)) / 2, 1e-6F);
    const Bf16 key = arena.head(0, 0, 0)[key_place(8, 3, i)];
    EXPECT_NEAR(std::bit_cast<float>(key << 16), want[i], 0.004F);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
