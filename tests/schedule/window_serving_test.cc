// Scheduler, prefix cache and evictor where some layers have a window, whose rows are given back and computed once more
// as the pool has room: under random orders of arrival and delivery. The simulated executor forgets what is given back.

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/sample.h"
#include "tests/support/scattered_requests.h"

namespace headwater::test {
namespace {

/// A pool in which not all blocks have room for all their rows.
SimulationOptions windowed(std::uint64_t seed) {
  SimulationOptions options;
  options.scheduler = {.max_batch_size = 4,
                       .max_step_tokens = 8,
                       .prefill_chunk = 6,
                       .mixed_prefill_tokens = 208,
                       .grid = {4, seed % 7 < 3 ? 2U : 0U}};  // in some, the first block of a sequence holds half
  options.window = {.tokens = static_cast<std::uint32_t>(1 + seed % 11), .full_bytes = seed % 5, .window_bytes = 5};
  options.window.pool_bytes = 60 + seed % 40;
  options.scheduler.total_blocks =
      static_cast<std::uint32_t>(cache::pool_blocks(options.window, options.scheduler.grid, 8));
  options.scheduler.lasting_admission = seed % 4 == 1;  // it leaves few preemptions
  options.end_token = 0;
  options.seed = seed;
  options.slow_executor = seed % 4 == 0;
  options.match_threshold = static_cast<double>(seed % 3) / 2;
  return options;
}

void expect_right_answers(bool tier) {
  std::uint64_t preemptions = 0, hits = 0, copies = 0, refills = 0, given_back = 0, restored = 0;
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(100, 1000) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = windowed(seed);
    options.tier = tier;
    ServingSimulation simulation(options);
    scatter(simulation, 24, options.scheduler.grid.begin(options.scheduler.total_blocks),
            {.prompt = 120, .answer = 60, .pause = 90});
    simulation.run();
    expect_all_ended(simulation);
    preemptions += simulation.scheduler().counters().preemptions;
    hits += simulation.scheduler().counters().prefix.hit_tokens;
    copies += simulation.copies();
    refills += simulation.refills();
    given_back += simulation.given_back();
    restored += simulation.restored_blocks();
  }
  // The property means something only if all of this has happened.
  EXPECT_GT(preemptions, sampled(10U, 100U));
  EXPECT_GT(hits, sampled(1000U, 10000U));
  EXPECT_GT(copies, sampled(50U, 500U));
  EXPECT_GT(refills, sampled(100U, 1000U));
  EXPECT_GT(given_back, sampled(1000U, 10000U));
  EXPECT_GE(restored, tier ? sampled(50U, 500U) : 0U);
}

TEST(WindowServing, EndsEveryRequestOnceWithItsOwnAnswer) { expect_right_answers(false); }
TEST(WindowServing, EndsEveryRequestOnceWithItsOwnAnswerWhereBlocksComeFromASlowerTier) { expect_right_answers(true); }

TEST(WindowServing, GetsThroughWhenEveryRequestNeedsTheWholePool) {
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(20, 200) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ServingSimulation simulation(windowed(seed));
    const schedule::SchedulerOptions& limits = simulation.options().scheduler;
    const std::uint32_t pool = limits.grid.begin(limits.total_blocks);
    for (TokenId i = 0; i < 5; ++i) {
      std::vector<TokenId> same(pool / 2 + seed % 3, 7);
      same.push_back(i % 2);
      const auto room = static_cast<std::uint32_t>(pool - same.size());
      simulation.submit(static_cast<ConnectionId>(i), same, room);
    }
    simulation.run();
    expect_all_ended(simulation);
  }
}

/// A pool with room for all rows of all conversations: then a chat computes what it would without windows.
TEST(WindowServing, ComputesOfAChatOnlyWhatIsNewThoughItsBeginningIsGivenBack) {
  SimulationOptions options;
  options.scheduler = {
      .max_batch_size = 4, .max_step_tokens = 64, .prefill_chunk = 64, .mixed_prefill_tokens = 208, .grid = 4};
  // 300 tokens in layers that see all, and room for the window rows of 60 blocks.
  options.window = {.tokens = 16, .full_bytes = 1, .window_bytes = 9, .pool_bytes = 75 + 60 * 9};
  options.scheduler.total_blocks = 75;
  ServingSimulation simulation(options);
  auto& random = simulation.random();
  std::vector<TokenId> said;
  std::uint64_t fresh = 0;
  for (int turn = 0; turn < 12; ++turn) {
    for (int i = 0; i < 14; ++i) said.push_back(static_cast<TokenId>(random() % 1000));
    const RequestId id = simulation.submit(1, said, 9);
    simulation.run();
    const auto& answer = simulation.answer(id);
    said.insert(said.end(), answer.begin(), answer.end());
    fresh += 14 + 9;
  }
  expect_all_ended(simulation);
  EXPECT_GT(simulation.given_back(), 0U);
  EXPECT_EQ(simulation.refills(), 0U);
  EXPECT_LE(simulation.computed_rows(), fresh);
}

/// One sequence that fills the pool, which has room for the window rows of what it sees and for two steps.
TEST(WindowServing, ServesALongSequenceInThePoolThatAWindowLeaves) {
  SimulationOptions options;
  options.scheduler = {
      .max_batch_size = 4, .max_step_tokens = 16, .prefill_chunk = 16, .mixed_prefill_tokens = 208, .grid = 4};
  options.window = {.tokens = 20, .full_bytes = 1, .window_bytes = 100};
  const std::uint64_t seen = (20 + 2 * 16 + 3) / 4 + 2;
  options.window.pool_bytes = seen * 100 + 98;
  options.scheduler.total_blocks = static_cast<std::uint32_t>(cache::pool_blocks(options.window, 4, 16));
  ASSERT_EQ(options.scheduler.total_blocks, 98U);
  ServingSimulation simulation(options);
  simulation.submit(1, std::vector<TokenId>(300, 3), 92);
  cache::KvBytes most;
  while (simulation.deliver()) {
    most.full = std::max(most.full, simulation.cache().bytes().full);
    most.window = std::max(most.window, simulation.cache().bytes().window);
  }
  expect_all_ended(simulation);
  EXPECT_EQ(most.full, 98U);
  EXPECT_LE(most.window, seen * 100);
  EXPECT_EQ(simulation.scheduler().counters().preemptions, 0U);
  EXPECT_GE(simulation.given_back(), 98 - seen);
}

}  // namespace
}  // namespace headwater::test
