#include "actors/counters.h"

#include <gtest/gtest.h>

namespace headwater::actors {
namespace {

TEST(Counters, AreAllVisited) {
  std::size_t named = 0;
  visit_counters([&](auto member) { named += sizeof(std::declval<Stats&>().*member); });
  EXPECT_GE(named + alignof(Stats), sizeof(Stats)) << "a member of Stats is not named in visit_counters()";
  EXPECT_LE(named, sizeof(Stats)) << "a member of Stats is named twice in visit_counters()";
}

TEST(Counters, OfPartsAreAddedAndWhatAPartDoesNotKnowStays) {
  Stats whole, cache, steps;
  whole.accepted = 3;
  whole.block_tokens = 32;
  cache.blocks_free = 5;
  cache.evictions[1] = 2;
  cache.tier.emplace().blocks = 7;
  steps.steps = 4;
  steps.step_seconds_sum = 0.5;
  steps.step_seconds_counts = {1, 3};
  add(whole, cache);
  add(whole, steps);
  EXPECT_EQ(whole.accepted, 3U);
  EXPECT_EQ(whole.block_tokens, 32U);
  EXPECT_EQ(whole.blocks_free, 5U);
  EXPECT_EQ(whole.evictions[1], 2U);
  EXPECT_EQ(whole.tier->blocks, 7U);
  EXPECT_EQ(whole.steps, 4U);
  EXPECT_EQ(whole.step_seconds_sum, 0.5);
  EXPECT_EQ(whole.step_seconds_counts, (std::vector<std::uint64_t>{1, 3}));
}

}  // namespace
}  // namespace headwater::actors
