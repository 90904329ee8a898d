// Scheduler, prefix cache and evictor together, under random orders of arrival and delivery.

#include <gtest/gtest.h>

#include "tests/support/sample.h"
#include "tests/support/scattered_requests.h"

namespace headwater::test {
namespace {

/// Tokens of a sequence that fills the pool.
std::uint32_t pool_tokens(const SimulationOptions& options) {
  return options.scheduler.grid.begin(options.scheduler.total_blocks);
}

SimulationOptions tiny(std::uint64_t seed) {
  SimulationOptions options;
  options.scheduler = {.max_batch_size = 4,
                       .max_step_tokens = 24,
                       .prefill_chunk = 10,
                       .mixed_prefill_tokens = 208,
                       .grid = {4, seed % 5 < 2 ? 2U : 0U}};  // in some, the first block of a sequence holds half
  options.scheduler.total_blocks = 12;
  options.scheduler.lasting_admission = seed % 4 == 1;  // it leaves few preemptions
  options.end_token = 0;
  options.seed = seed;
  return options;
}

TEST(Serving, EndsEveryRequestOnceWithItsOwnAnswerInATinyPool) {
  std::uint64_t preemptions = 0, evictions = 0, hits = 0, copies = 0;
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(150, 1500) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.match_threshold = static_cast<double>(seed % 6) / 5;
    ServingSimulation simulation(options);
    scatter(simulation, 20, pool_tokens(options));
    simulation.run();
    expect_all_ended(simulation);
    copies += simulation.copies();
    preemptions += simulation.scheduler().counters().preemptions;
    evictions += simulation.cache().evictions()[static_cast<std::size_t>(EvictionReason::demand)];
    hits += simulation.scheduler().counters().prefix.hit_tokens;
  }
  // The property means something only if all of this has happened.
  EXPECT_GT(preemptions, sampled(10U, 100U));
  EXPECT_GT(evictions, sampled(100U, 1000U));
  EXPECT_GT(hits, sampled(100U, 1000U));
  EXPECT_GT(copies, sampled(100U, 1000U));
}

TEST(Serving, EndsEveryRequestThatThePinsLeaveRoomFor) {
  std::uint64_t pinned = 0, expired = 0, preemptions = 0;
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(50, 500) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.retention = {.ttl = static_cast<TimeNs>(1 + seed % 5 * 100), .max_pinned = 4};
    options.keep.pin = seed % 2 == 0 ? cache::kNever : 200;
    if (seed % 3 == 0) options.keep.session = "chat";
    ServingSimulation simulation(options);
    scatter(simulation, 20, pool_tokens(options) - options.retention.max_pinned * 4);
    simulation.run();
    expect_all_ended(simulation);
    pinned += simulation.cache().status().pinned;
    expired += simulation.cache().evictions()[static_cast<std::size_t>(EvictionReason::expired)];
    preemptions += simulation.scheduler().counters().preemptions;
  }
  EXPECT_GT(pinned, sampled(50U, 500U));
  EXPECT_GT(expired, sampled(50U, 500U));
  EXPECT_GT(preemptions, sampled(10U, 100U));
}

/// Whatever a slower tier has read out and gives back, late or twice: a block that it saved too late, or that was
/// restored over another, would show as one that does not hold its tokens.
TEST(Serving, EndsEveryRequestOnceWithItsOwnAnswerWhereBlocksComeFromASlowerTier) {
  std::uint64_t preemptions = 0, restored = 0;
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(50, 500) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.tier = true;
    options.slow_executor = seed % 4 == 0;
    options.match_threshold = static_cast<double>(seed % 6) / 5;
    ServingSimulation simulation(options);
    scatter(simulation, 20, pool_tokens(options));
    simulation.run();
    expect_all_ended(simulation);
    preemptions += simulation.scheduler().counters().preemptions;
    restored += simulation.restored_blocks();
  }
  EXPECT_GT(preemptions, sampled(5U, 50U));
  EXPECT_GT(restored, sampled(100U, 1000U));
}

TEST(Serving, EndsEveryRequestOnceWhateverTheLimits) {
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(150, 1500) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.scheduler.max_batch_size = 1 + seed % 7;
    options.scheduler.max_step_tokens = 8 + seed % 30;
    options.scheduler.prefill_chunk = 1 + seed % 17;
    const auto block = static_cast<std::uint32_t>(1 + seed % 5);
    options.scheduler.grid = {block, static_cast<std::uint32_t>(seed / 5 % block)};
    options.scheduler.total_blocks = 8 + seed % 20;
    options.slow_executor = seed % 4 == 0;
    options.match_threshold = static_cast<double>(seed % 3) / 2;
    ServingSimulation simulation(options);
    scatter(simulation, 16, pool_tokens(options));
    simulation.run();
    expect_all_ended(simulation);
  }
}

TEST(Serving, EndsEveryRequestWithoutAPrefixCache) {
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(40, 400) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.cache_enabled = false;
    ServingSimulation simulation(options);
    scatter(simulation, 20, pool_tokens(options));
    simulation.run();
    expect_all_ended(simulation);
    EXPECT_EQ(simulation.scheduler().counters().prefix.query_tokens, 0U);
    EXPECT_EQ(simulation.scheduler().counters().prefix.hit_tokens, 0U);
    EXPECT_EQ(simulation.cache().counts().cached, 0U);
  }
}

TEST(Serving, GetsThroughWhenEveryRequestNeedsTheWholePool) {
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(20, 200) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const SimulationOptions options = tiny(seed);
    ServingSimulation simulation(options);
    for (TokenId i = 0; i < 6; ++i) {
      std::vector<TokenId> same(seed % 2 == 0 ? 20 : 22, 7);  // all share a prefix and compute it side by side
      same.push_back(i % 2);
      const auto room = static_cast<std::uint32_t>(pool_tokens(options) - same.size());
      simulation.submit(static_cast<ConnectionId>(i), same, room);
    }
    simulation.run();
    expect_all_ended(simulation);
  }
}

TEST(Serving, GetsThroughWhenThePoolHasNoRoomForACopyBesideItsSource) {
  for (std::uint64_t seed = 1; seed <= sampled<std::uint64_t>(30, 300) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.scheduler.max_step_tokens = options.scheduler.prefill_chunk = 64;  // a prompt is one step
    options.match_threshold = 0;
    ServingSimulation simulation(options);
    for (TokenId i = 0; i < 3; ++i) {
      std::vector<TokenId> tokens(pool_tokens(options) - 1, 100 + i);
      for (std::size_t p = 0; p < 1 + seed % 20; ++p) tokens[p] = 7;
      simulation.submit(static_cast<ConnectionId>(i), tokens, 1);
    }
    simulation.run();
    expect_all_ended(simulation);
  }
}

/// Each turn sends all that was said before and something new.
TEST(Serving, ComputesOfALongChatOnlyWhatIsNew) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulationOptions options = tiny(seed);
    options.scheduler = {.max_batch_size = 4,
                         .max_step_tokens = 512,
                         .prefill_chunk = 256,
                         .mixed_prefill_tokens = 208,
                         .grid = {32, seed % 5 < 2 ? 16U : 0U}};
    options.scheduler.total_blocks = 200;
    options.end_token = -1;
    ServingSimulation simulation(options);
    auto& random = simulation.random();
    std::vector<std::vector<TokenId>> said(3);  // by as many clients, in turns
    std::uint64_t fresh = 0;
    for (int turn = 0; turn < 20; ++turn) {
      std::vector<RequestId> ids;
      for (std::size_t client = 0; client < said.size(); ++client) {
        const std::size_t asked = 10 + random() % 40, answered = 10 + random() % 60;
        for (std::size_t i = 0; i < asked; ++i) said[client].push_back(static_cast<TokenId>(random() % 1000));
        fresh += asked + answered;
        ids.push_back(simulation.submit(client, said[client], static_cast<std::uint32_t>(answered)));
      }
      simulation.run();
      for (std::size_t client = 0; client < said.size(); ++client) {
        const auto& answer = simulation.answer(ids[client]);
        said[client].insert(said[client].end(), answer.begin(), answer.end());
      }
    }
    expect_all_ended(simulation);
    // The last token of an answer is computed with the next turn, so that not even a token a turn is over.
    EXPECT_LE(simulation.computed_rows(), fresh);
  }
}

}  // namespace
}  // namespace headwater::test
