#include "kernels/cpu/rope.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/kv_codes.h"
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
      const std::vector<float> centres = random_values(2 * dim, 3);
      std::vector<Bf16> blocks[2];
      for (auto& block : blocks) block.assign(2 * 2 * dim * kTokens, 0x7FC1);
      for (std::size_t slot : {3U, 4U, 5U, 6U}) {
        std::vector<float> rows[2];
        for (int i : {0, 1}) {
          rows[i] = random_values(7 * dim, unsigned(slot), 3);
          rows[i][3 * dim] = 1e30F;                                       // the first key
          rows[i][5 * dim] = -1e-40F;                                     // the first value
          rows[i][5 * dim + 1] = std::numeric_limits<float>::infinity();  // and the next
          RopeTask task{3, 2, dim, pairs, cosines.data(), sines.data(), 0.125F};
          task.row = rows[i].data();
          task.block = reinterpret_cast<std::byte*>(blocks[i].data());
          task.head_bytes = 2 * dim * kTokens * sizeof(Bf16);
          task.block_tokens = kTokens;
          task.slot = slot;
          task.centres = slot > 4 ? centres.data() : nullptr;
          i == 0 ? rope_and_store({&task, 1}) : reference::rope_and_store(task);
        }
        EXPECT_EQ(rows[0], rows[1]) << dim;
      }
      EXPECT_EQ(blocks[0], blocks[1]) << dim << " of which pairs turned: " << pairs;
    }
  }
}

TEST_P(Rope, MapsRowsAsTheReferenceDoesWhateverRowsStandBeside) {
  for (std::size_t dim : {8U, 64U, 72U, 80U, 96U, 128U, 256U}) {
    const std::vector<float> map = random_values(dim * dim, 1);
    const std::vector<float> given = random_values(7 * dim, 2);
    std::vector<float> want = given;
    std::vector<float> alone = given;
    for (std::size_t r = 0; r < 7; ++r) {
      float* wanted = want.data() + r * dim;
      float* own = alone.data() + r * dim;
      reference::map_rows(map.data(), &wanted, 1, dim);
      map_rows(map.data(), &own, 1, dim);
    }
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(alone[i], want[i], 1e-4F) << dim;
    for (std::size_t n : {2U, 3U, 5U, 7U}) {
      std::vector<float> together = given;
      std::vector<float*> rows;
      for (std::size_t r = 0; r < n; ++r) rows.push_back(together.data() + (6 - r) * dim);
      map_rows(map.data(), rows.data(), n, dim);
      std::vector<float> expected = given;
      std::copy(alone.end() - std::ptrdiff_t(n * dim), alone.end(), expected.end() - std::ptrdiff_t(n * dim));
      EXPECT_EQ(together, expected) << n << " rows of " << dim;
    }
  }
}

/// What a map gives is rounded in another way than the reference does it, so that a code may be another.
TEST_P(Rope, MapsQueriesAndKeysOfEachHeadByItsOwnMap) {
  constexpr std::size_t kTokens = 16;
  const KvFormat format = format_of("8");
  for (std::size_t dim : {64U, 80U}) {
    const std::vector<float> maps[2] = {random_values(2 * dim * dim, 1, 0.1F), random_values(2 * dim * dim, 2, 0.1F)};
    std::vector<std::byte> blocks[2];
    std::vector<float> rows[2][3];
    for (int i : {0, 1}) {
      blocks[i].resize(2 * KvArena::head_size(std::uint32_t(dim), kTokens, format));
      std::vector<RopeTask> tasks;
      for (std::size_t t : {0U, 1U, 2U}) {
        rows[i][t] = random_values(8 * dim, unsigned(t));
        RopeTask task{4, 2, dim, 0};
        task.row = rows[i][t].data();
        task.block = blocks[i].data();
        task.head_bytes = blocks[i].size() / 2;
        task.block_tokens = kTokens;
        task.slot = 3 + t;
        task.format = format;
        task.key_maps = maps[0].data();
        task.query_maps = maps[1].data();
        tasks.push_back(task);
        if (i == 1) reference::rope_and_store(task);
      }
      if (i == 0) rope_and_store(tasks);
    }
    for (std::size_t t : {0U, 1U, 2U}) {
      for (std::size_t k = 0; k < 4 * dim; ++k) EXPECT_NEAR(rows[0][t][k], rows[1][t][k], 1e-4F) << t << " " << k;
      const CodeTarget at{dim, kTokens, 3 + t, 8, 8};
      for (std::size_t head : {0U, 1U}) {
        for (std::size_t k = 0; k < dim; ++k) {
          const auto key = [&](int i) {
            return reference::stored_key(at, blocks[i].data() + head * blocks[i].size() / 2, k);
          };
          EXPECT_NEAR(key(0), key(1), 0.06) << t << " " << head << " " << k;
        }
      }
    }
  }
}

TEST_P(Rope, AndStoringQuantisedAreExactlyTheReference) {
  const float value_scales[] = {0.5F, 4};
  constexpr std::size_t kTokens = 16;
  for (const char* policy : {"8", "4", "k8v4", "4-norotate", "k4v8-nocentre"}) {
    const KvFormat format = *parse_quant_policy(policy);
    for (std::size_t dim : {8U, 64U, 80U, 96U, 128U}) {
      const std::size_t pairs = dim / 4;
      const std::vector<float> cosines = random_values(pairs, 1);
      const std::vector<float> sines = random_values(pairs, 2);
      const std::vector<float> centres = random_values(2 * dim, 3);
      std::vector<std::byte> blocks[2];
      for (auto& block : blocks) {
        block.assign(2 * KvArena::head_size(std::uint32_t(dim), kTokens, format), std::byte{0x5A});
      }
      for (std::size_t slot : {2U, 3U, 9U, 13U}) {
        std::vector<float> rows[2];
        for (int i : {0, 1}) {
          rows[i] = random_values(7 * dim, unsigned(slot), 3);
          RopeTask task{3, 2, dim, pairs, cosines.data(), sines.data(), 0.125F};
          task.row = rows[i].data();
          task.block = blocks[i].data();
          task.head_bytes = blocks[i].size() / 2;
          task.block_tokens = kTokens;
          task.slot = slot;
          task.format = format;
          task.centres = format.centre_keys ? centres.data() : nullptr;
          task.value_scales = value_scales;
          i == 0 ? rope_and_store({&task, 1}) : reference::rope_and_store(task);
          rows[i].resize(3 * dim);  // the queries
        }
        EXPECT_EQ(rows[0], rows[1]) << dim;
      }
      EXPECT_EQ(blocks[0], blocks[1]) << policy << ", heads of " << dim;
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
  task.block = reinterpret_cast<std::byte*>(block.data());
  task.block_tokens = 8;
  rope_and_store({&task, 1});
  const auto is_nan = [&](std::size_t place) { return std::isnan(std::bit_cast<float>(block[place] << 16)); };
  EXPECT_TRUE(is_nan(key_place(8, 0, 0)));
  EXPECT_TRUE(is_nan(value_place(64, 8, 0, 0)));
  EXPECT_TRUE(is_nan(value_place(64, 8, 0, 33)));
  EXPECT_FALSE(is_nan(value_place(64, 8, 0, 1)));
}

INSTANTIATE_TEST_SUITE_P(Targets, Rope, testing::ValuesIn(highway_targets()),
                         [](const auto& test) { return std::string(hwy::TargetName(test.param)); });

/// The arena and the queries after two sequences' rows, given in chunks.
struct Stored {
  std::vector<Bf16> arena;
  std::vector<float> rows;
  bool operator==(const Stored&) const = default;
};

Stored store(std::uint32_t chunk, unsigned threads, const char* policy = "0") {
  constexpr std::uint32_t kLength = 61;
  constexpr std::size_t kRow = (6 + 2 * 2) * 16;
  const AttentionShape heads{1, 6, 2, 16, 12};
  const KvGeometry geometry{std::vector<KvLayer>(2, {2, 16}), 16, format_of(policy)};
  const std::vector<std::int32_t> tables[2] = {{3, 9, 1, 8, 0}, {5, 2, 4, 7, 6}};
  const KvArena arena(geometry, 10);
  const std::vector<float> frequencies = {1, 0.5, 0.25, 0.125, 0.0625, 0.03125};
  Rotary rotary;
  rotary.set(0, frequencies);
  ThreadPool pool(threads);
  Stored result;
  result.rows = random_values(2 * kLength * kRow, 1, 3);
  for (std::uint32_t first = 0; first < kLength; first += chunk) {
    const std::uint32_t n = std::min(chunk, kLength - first);
    std::vector<SequenceRows> sequences;
    for (std::uint32_t s : {0U, 1U}) sequences.push_back({s * kLength + first, n, first, tables[s]});
    rotary.rotate_and_store(arena, heads, sequences, result.rows.data(), pool);
  }
  result.arena.assign(arena.head(0, 0, 0), arena.head(10, 0, 0));
  return result;
}

TEST(Rotary, LeavesTheSameInTheArenaInAnyChunksAndWithAnyNumberOfThreads) {
  for (const char* policy : {"0", "8", "4"}) {
    const Stored whole = store(61, 1, policy);
    for (std::uint32_t chunk : {1U, 2U, 7U, 17U, 61U}) {
      for (unsigned threads : {1U, 2U, 3U}) {
        EXPECT_EQ(store(chunk, threads, policy), whole) << policy << ", " << chunk << ", " << threads;
      }
    }
  }
}

TEST(Rotary, TurnsPairsOfNeighboursByPositionTimesFrequency) {
  const KvArena arena({{{1, 4}}, 8}, 1);
  const std::vector<float> frequencies = {1, 0.5};
  const std::vector<std::int32_t> table = {0};
  Rotary rotary;
  rotary.set(0, frequencies);
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
