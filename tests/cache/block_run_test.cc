#include "cache/block_run.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace headwater::cache {
namespace {

/// The run of these keys, given up last first.
BlockRun run_of(const std::vector<std::uint64_t>& keys) {
  BlockRun run;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) run.prepend(*key);
  return run;
}

std::vector<std::uint64_t> some_keys(std::mt19937_64& random, std::size_t n) {
  std::vector<std::uint64_t> keys(n);
  for (auto& key : keys) key = random();
  return keys;
}

TEST(BlockRun, HoldsNothingAtFirst) {
  EXPECT_EQ(BlockRun().blocks(), 0U);
  EXPECT_FALSE(BlockRun().begins_with(1));
}

TEST(BlockRun, KnowsItsOwnBlocksOneAfterTheOther) {
  std::mt19937_64 random(1);
  for (const std::size_t n : {1U, 2U, 3U, 7U, 33U, 51U, 200U}) {
    const auto keys = some_keys(random, n);
    BlockRun run = run_of(keys);
    EXPECT_EQ(run.blocks(), n);
    for (const std::uint64_t key : keys) {
      ASSERT_TRUE(run.begins_with(key)) << n;
      run = run.rest();
    }
    EXPECT_EQ(run.blocks(), 0U);
  }
}

TEST(BlockRun, SoonTellsAnotherChain) {
  std::mt19937_64 random(2);
  constexpr int kChains = 2000;
  int mistaken = 0;
  for (int i = 0; i < kChains; ++i) {
    BlockRun run = run_of(some_keys(random, 20));
    for (int block = 0; block < 20 && run.begins_with(random()); ++block, run = run.rest()) ++mistaken;
  }
  EXPECT_LT(mistaken, 8 * kChains);  // of 20: mostly those before the first mark, and one in 16 of what follows
}

TEST(BlockRun, IsFullBeforeItsCountWraps) {
  BlockRun run;
  while (!run.full()) run.prepend(7);
  EXPECT_EQ(run.blocks(), BlockRun::kMost);
}

}  // namespace
}  // namespace headwater::cache
