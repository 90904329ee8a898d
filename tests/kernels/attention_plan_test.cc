#include "kernels/cpu/attention_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

namespace headwater::kernels::cpu {
namespace {

constexpr std::uint32_t kBlock = 32;
constexpr std::uint32_t kSplitBlocks = kSplitTokens / kBlock;
constexpr AttentionShape kShape{0, 9, 3, 64, 64};

using Table = std::vector<std::int32_t>;

Table blocks(std::int32_t first, std::uint32_t n) {
  Table table(n);
  for (std::uint32_t i = 0; i < n; ++i) table[i] = first + static_cast<std::int32_t>(i);
  return table;
}
Table operator+(Table a, const Table& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Every query visits each of its splits once, in order from phase to phase, and through blocks that are its own.
void expect_whole(AttentionPlan& plan) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> next;  // by row and head: the split whose turn it is
  std::size_t task = 0;
  for (std::uint32_t end : plan.phase_ends()) {
    std::set<std::uint32_t> units;
    for (; task < end; ++task) units.insert(plan.tasks()[task].unit);
    for (std::uint32_t index : units) {
      const AttentionUnit& unit = plan.units()[index];
      EXPECT_LE(unit.n_rows, kPairedRows);
      for (std::uint32_t r = 0; r < unit.n_rows; ++r) {
        const AttentionPlan::Query query = plan.query(unit, r);
        EXPECT_EQ(next[std::pair(query.row, query.head)], unit.first_split);
        next[std::pair(query.row, query.head)] = unit.end_split;
        EXPECT_EQ(unit.ends, unit.end_split * kSplitTokens >= query.context);
        if (!unit.ends) {
          const Table mine(plan.sequences()[query.sequence].block_table.begin(),
                           plan.sequences()[query.sequence].block_table.begin() + unit.end_split * kSplitBlocks);
          const Table read(plan.sequences()[unit.sequence].block_table.begin(),
                           plan.sequences()[unit.sequence].block_table.begin() + unit.end_split * kSplitBlocks);
          EXPECT_EQ(mine, read);
        }
      }
    }
  }
  for (const SequenceRows& sequence : plan.sequences()) {
    for (std::uint32_t row = 0; row < sequence.n_rows; ++row) {
      for (std::uint32_t head = 0; head < kShape.n_heads; ++head) {
        EXPECT_EQ(next[std::pair(sequence.first_row + row, head)], (sequence.first_position + row) / kSplitTokens + 1);
      }
    }
  }
}

std::size_t visits(AttentionPlan& plan) {
  std::size_t sum = 0;
  for (const AttentionUnit& unit : plan.units()) sum += unit.n_splits();
  return sum;
}

TEST(AttentionPlan, ReadsACommonPrefixOnceForAllThatDecodeBehindIt) {
  std::vector<Table> tables;
  std::vector<SequenceRows> sequences;
  for (std::int32_t s = 0; s < 10; ++s) tables.push_back(blocks(0, 3 * kSplitBlocks) + blocks(1000 + s * 10, 4));
  for (std::uint32_t s = 0; s < 10; ++s) sequences.push_back({s, 1, 3 * kSplitTokens + 100, tables[s]});
  AttentionPlan plan;
  plan.make(kShape, kBlock, sequences, 2, kPairedRows);
  expect_whole(plan);
  EXPECT_EQ(plan.phase_ends().size(), 2U);
  // 30 rows go into one tile pair; then each goes on alone.
  EXPECT_EQ(visits(plan), 3U * 3 + 10 * 3);
}

TEST(AttentionPlan, FollowsATreeOfPrefixes) {
  const Table root = blocks(0, kSplitBlocks);
  const Table left = root + blocks(100, 2 * kSplitBlocks);
  const Table right = root + blocks(200, kSplitBlocks);
  const std::vector<Table> tables = {left + blocks(300, 1), right + blocks(310, 1), left + blocks(320, 9),
                                     right + blocks(330, 1), blocks(400, 20)};
  const std::vector<SequenceRows> sequences = {{0, 1, 3 * kSplitTokens, tables[0]},
                                               {1, 1, 2 * kSplitTokens, tables[1]},
                                               {2, 1, 4 * kSplitTokens + 3, tables[2]},
                                               {3, 1, 2 * kSplitTokens + 9, tables[3]},
                                               {4, 1, 600, tables[4]}};
  AttentionPlan plan;
  plan.make(kShape, kBlock, sequences, 2, kPairedRows);
  expect_whole(plan);
  EXPECT_EQ(plan.phase_ends().size(), 3U);
  EXPECT_EQ(visits(plan), 3U * (1 + 2 + 1 + 1 + 1 + 2 + 1 + 3));
}

TEST(AttentionPlan, LetsPromptsAndShortOrStrangePrefixesAlone) {
  const Table common = blocks(0, kSplitBlocks);
  const std::vector<Table> tables = {common + blocks(100, 2), common + blocks(110, 2), common,
                                     blocks(0, kSplitBlocks - 1) + blocks(120, 4)};
  const std::vector<SequenceRows> sequences = {{0, 1, kSplitTokens + 3, tables[0]},
                                               {1, 40, kSplitTokens, tables[1]},       // a prompt
                                               {41, 1, kSplitTokens - 1, tables[2]},   // its last token is in the split
                                               {42, 1, kSplitTokens + 3, tables[3]}};  // differs in the last block
  for (std::size_t threads : {1U, 2U, 64U}) {
    AttentionPlan plan;
    plan.make(kShape, kBlock, sequences, threads, kPairedRows);
    expect_whole(plan);
    EXPECT_EQ(plan.phase_ends().size(), 1U);
  }
}

TEST(AttentionPlan, CutsLongContextsForManyThreads) {
  const Table table = blocks(0, 32 * kSplitBlocks);
  const std::vector<Table> tables = {table + blocks(900, 1), table + blocks(910, 1)};
  const std::vector<SequenceRows> sequences = {{0, 1, 32 * kSplitTokens, tables[0]},
                                               {1, 1, 32 * kSplitTokens + 5, tables[1]}};
  AttentionPlan plan;
  plan.make(kShape, kBlock, sequences, 16, kPairedRows);
  expect_whole(plan);
  EXPECT_GE(plan.phase_ends()[0], 64U);
  EXPECT_GT(plan.gathered(), 0U);
}

TEST(AttentionPlan, OfAWindowReadsNoSplitThatNoRowSeesAndSharesNone) {
  AttentionShape shape = kShape;
  shape.window = 300;
  const Table table = blocks(0, 8 * kSplitBlocks);
  const SequenceRows sequences[] = {{0, 1, 1500, table}, {1, 1, 1500, table}, {2, 40, 1500, table}, {42, 1, 0, table}};
  AttentionPlan plan;
  plan.make(shape, kBlock, sequences, 2, kPairedRows);
  EXPECT_EQ(plan.phase_ends().size(), 1U);
  for (const AttentionUnit& unit : plan.units()) {
    const std::uint32_t first = plan.query(unit, 0).context, last = plan.query(unit, unit.n_rows - 1).context;
    EXPECT_TRUE(unit.begins && unit.ends);
    EXPECT_EQ(unit.first_split, first > 300 ? (first - 300) / kSplitTokens : 0);
    EXPECT_EQ(unit.end_split, (last + kSplitTokens - 1) / kSplitTokens);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
