// What requests find in the cache that others, or they themselves, have left there.

#include "actors/graph_runtime.h"

#include <gtest/gtest.h>

#include "tests/actors/graph_fixture.h"

namespace headwater::test {
namespace {

using Kind = TokenEvent::Kind;

TEST(GraphRuntime, ReusesTheWholeBlocksOfASharedPrefixAndSaysSo) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  auto first = prompt_of(7, 50);
  auto second = first;
  second.resize(45);
  second.push_back(3);
  const Outcome cold = log.wait(client->submit(ask(first, 4))->id);
  EXPECT_EQ(cold.last().usage.cached_tokens, 0U);
  graph.idle_stats();
  const std::uint64_t rows_before = graph.model().rows;
  const Outcome warm = log.wait(client->submit(ask(second, 4))->id);
  EXPECT_EQ(warm.last().usage.cached_tokens, 40U);  // five blocks of 8
  EXPECT_EQ(cold.last().usage.cache, (CacheDetails{0, CacheSource::none, CacheMiss::never_seen, 49}));
  EXPECT_EQ(warm.last().usage.cache, (CacheDetails{0, CacheSource::memory, CacheMiss::below_threshold, 5}));
  EXPECT_EQ(graph.model().rows - rows_before, 46 - 40 + 3U);
  EXPECT_EQ(warm.tokens(), FakeModel::answer(second, 4));
  const Stats stats = graph.idle_stats();
  EXPECT_EQ(stats.batch_size_sum, stats.steps);  // one sequence at a time, however many rows
  EXPECT_EQ(stats.batch_size_counts[0], stats.steps);
  EXPECT_EQ(stats.prefix_query_tokens, 96U);
  EXPECT_EQ(stats.prefix_hit_tokens, 40U);
  EXPECT_EQ(stats.prefix_query_blocks, 6U + 5U);
  EXPECT_EQ(stats.prefix_hit_blocks, 5U);
  EXPECT_EQ(stats.prefix_missed_tokens[static_cast<std::size_t>(CacheMiss::never_seen)], 49U);
  EXPECT_EQ(stats.prefix_missed_tokens[static_cast<std::size_t>(CacheMiss::below_threshold)], 5U);
  EXPECT_GT(stats.blocks_cached, 0U);
}

TEST(GraphRuntime, ReusesAFirstBlockThatHoldsHalfAsManyTokensAndSaysSo) {
  GraphOptions options;
  options.short_first_block = true;
  Graph graph(options);  // 0 … 3, 4 … 11, 12 … 19
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const auto first = prompt_of(7, 22);
  EXPECT_EQ(log.wait(client->submit(ask(first, 4))->id).tokens(), FakeModel::answer(first, 4));
  graph.idle_stats();
  // Within the first block, at its end, one token beyond, in the second, at its end, and at the end of the third.
  for (const auto& [same, cached] : std::vector<std::pair<std::size_t, std::uint32_t>>{
           {2, 0}, {3, 0}, {4, 4}, {5, 4}, {11, 11}, {12, 12}, {20, 20}}) {
    auto prompt = prompt_of(static_cast<std::uint32_t>(100 + same), 30);
    std::copy(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(same), prompt.begin());
    const Outcome outcome = log.wait(client->submit(ask(prompt, 4))->id);
    EXPECT_EQ(outcome.last().usage.cached_tokens, cached) << same;
    EXPECT_EQ(outcome.tokens(), FakeModel::answer(prompt, 4)) << same;
    graph.idle_stats();
  }
  graph.expect_settled();
}

void compute_of_a_long_chat_only_what_is_new(bool short_first_block) {
  GraphOptions options;
  options.context = 512;
  options.short_first_block = short_first_block;
  Graph graph(options);
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  std::vector<TokenId> said;
  std::uint64_t fresh = 0, cached = 0;
  for (std::uint32_t turn = 0; turn < 20; ++turn) {
    const auto asked = prompt_of(100 + turn, 7 + turn % 5);
    const std::uint32_t answered = 5 + turn % 7;
    said.insert(said.end(), asked.begin(), asked.end());
    const Outcome outcome = log.wait(client->submit(ask(said, answered))->id);
    ASSERT_EQ(outcome.tokens(), FakeModel::answer(said, answered));
    if (turn > 0) {
      EXPECT_EQ(outcome.last().usage.cached_tokens, said.size() - asked.size() - 1);
    }
    cached += outcome.last().usage.cached_tokens;
    const auto answer = outcome.tokens();
    said.insert(said.end(), answer.begin(), answer.end());
    fresh += asked.size() + answered;
    graph.idle_stats();  // the end of a request is told before its blocks are released
  }
  EXPECT_LE(graph.model().rows, fresh);
  EXPECT_EQ(graph.idle_stats().prefix_hit_tokens, cached);
  graph.expect_settled();
}

TEST(GraphRuntime, ComputesOfALongChatOnlyWhatIsNew) {
  compute_of_a_long_chat_only_what_is_new(false);
  compute_of_a_long_chat_only_what_is_new(true);
}

TEST(GraphRuntime, TellsWhatWasEvictedAndWhatMoreMemoryWouldBring) {
  GraphOptions options;
  options.total_blocks = 8;
  Graph graph(options);
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const auto ask_and_wait = [&](std::uint32_t seed) {
    const Outcome outcome = log.wait(client->submit(ask(prompt_of(seed, 33), 2))->id);
    graph.idle_stats();
    return outcome.last().usage.cache.miss;
  };
  EXPECT_EQ(ask_and_wait(1), CacheMiss::never_seen);
  EXPECT_EQ(ask_and_wait(1), CacheMiss::none);
  EXPECT_EQ(ask_and_wait(2), CacheMiss::never_seen);
  EXPECT_EQ(ask_and_wait(1), CacheMiss::evicted);
  const Stats stats = graph.idle_stats();
  EXPECT_EQ(stats.ghost_hits, 1U);
  const std::uint64_t evictions = stats.evictions[static_cast<std::size_t>(EvictionReason::demand)];
  EXPECT_GT(evictions, 0U);
  std::uint64_t aged = 0;
  for (const std::uint64_t count : stats.eviction_age_seconds_counts) aged += count;
  EXPECT_EQ(aged, evictions);

  const auto advice = graph.runtime().cache_advice();
  ASSERT_TRUE(advice.ok());
  EXPECT_EQ(advice->looked_up_blocks, 4 * 4U);
  EXPECT_EQ(advice->sizes.front().capacity_blocks, 2U);
  EXPECT_DOUBLE_EQ(advice->sizes.back().hit_rate, 0.5);
  EXPECT_NE(advice->advice, "");
  graph.expect_settled();
}

TEST(GraphRuntime, AdvisesForThePolicyOfItsTopology) {
  GraphOptions options;
  options.policy = "adaptive";
  Graph graph(options);
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  for (std::uint32_t seed = 0; seed < 36; ++seed) log.wait(client->submit(ask(prompt_of(seed, 241), 1))->id);
  const auto advice = graph.runtime().cache_advice();
  ASSERT_TRUE(advice.ok());
  EXPECT_EQ(advice->looked_up_blocks, 36 * 30U);
  EXPECT_NE(advice->advice.find("adaptive"), std::string::npos) << advice->advice;
}

TEST(GraphRuntime, HasNoAdviceWithoutAPrefixCache) {
  GraphOptions options;
  options.prefix_caching = false;
  Graph graph(options);
  EXPECT_EQ(graph.runtime().cache_advice().error().code, ErrorCode::unavailable);
}

TEST(GraphRuntime, NeverSharesBlocksBetweenTenants) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  Request one = ask(prompt_of(7, 50), 4);
  Request other = one;
  one.cache_salt = "alice";
  other.cache_salt = "bob";
  log.wait(client->submit(one)->id);
  graph.idle_stats();
  EXPECT_EQ(log.wait(client->submit(other)->id).last().usage.cached_tokens, 0U);
  graph.idle_stats();
  EXPECT_EQ(log.wait(client->submit(one)->id).last().usage.cached_tokens, 48U);
}

TEST(GraphRuntime, GivesTheSameAnswersWhenThePoolIsSoSmallThatSequencesArePreempted) {
  GraphOptions options;
  options.total_blocks = 12;
  options.scheduler_args += ", admission: eager";
  Graph graph(options);
  EventLog log;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::pair<RequestId, std::vector<TokenId>>> sent;
  for (std::uint32_t c = 0; c < 10; ++c) {
    clients.push_back(graph.runtime().connect(log.handler()));
    auto prompt = prompt_of(c, 20);
    sent.emplace_back(clients.back()->submit(ask(prompt, 60))->id, prompt);
  }
  for (const auto& [id, prompt] : sent) {
    const Outcome outcome = log.wait(id);
    EXPECT_EQ(outcome.tokens(), FakeModel::answer(prompt, 60));
    EXPECT_EQ(outcome.last().kind, Kind::finished);
  }
  EXPECT_GT(graph.runtime().stats().preemptions, 0U);
  EXPECT_EQ(log.violations(), 0);
  graph.expect_settled();
}

}  // namespace
}  // namespace headwater::test
