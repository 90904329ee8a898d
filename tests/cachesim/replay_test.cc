#include "tools/cachesim/replay.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cache/miss_curve.h"
#include "tests/cachesim/traces.h"

namespace headwater::cachesim {
namespace {

double rate(const Trace& trace, const std::string& policy, std::uint32_t capacity) {
  return replay(trace, {policy, capacity}, [](std::uint64_t) {}).value();
}

Trace trace_of(std::vector<std::vector<TokenId>> requests) {
  TraceMaker make(1);
  for (auto& request : requests) {
    for (const TokenId block : request) {
      while (make.fresh() < block) {
      }
    }
    make.add(std::move(request));
  }
  return make.finish();
}

TEST(Replay, CountsABlockThatIsThereWithItsWholePrefix) {
  const Trace trace = trace_of({{0, 1, 2}, {0, 1, 3}, {4, 1}});
  EXPECT_DOUBLE_EQ(rate(trace, "lru", 8), 2.0 / 8);
}

TEST(Replay, KeepsOfARequestThatIsTooLongWhatFits) {
  const Trace trace = trace_of({{0, 1, 2, 3}, {0, 1, 2, 3}});
  EXPECT_DOUBLE_EQ(rate(trace, "lru", 3), 3.0 / 8);
}

TEST(Replay, ReportsEveryRequestAsProgress) {
  std::uint64_t done = 0;
  const Trace trace = uniform(1, 20, 1000);
  ASSERT_TRUE(replay(trace, {"lru", 10}, [&](std::uint64_t n) { done += n; }));
  EXPECT_EQ(done, 1000U);
}

TEST(Replay, RefusesAnUnknownPolicy) {
  EXPECT_FALSE(replay(uniform(1, 2, 2), {"best", 4}, [](std::uint64_t) {}));
}

TEST(Replay, KnowingTheFutureIsBestAndAllBlocksAreEnough) {
  const Trace trace = multi_turn(1, 30, 1500);
  for (const std::string& policy : cache::policy_names()) {
    EXPECT_LE(rate(trace, policy, trace.distinct_blocks / 10), rate(trace, kOptimal, trace.distinct_blocks / 10));
    EXPECT_DOUBLE_EQ(rate(trace, policy, trace.distinct_blocks), rate(trace, kOptimal, trace.distinct_blocks))
        << policy;
  }
}

/// What the server's cache advisor says of other sizes is what those sizes hit.
TEST(Replay, AgreesWithTheMissCurve) {
  constexpr std::uint32_t kCapacity = 400;
  for (const Trace& trace : {multi_turn(2), shared_prompts(3), recency(4)}) {
    cache::MissCurve exact(kCapacity), sampled(kCapacity, kCapacity * 8 / 4);  // one block in four
    for (const TraceRequest& request : trace.requests) {
      std::vector<std::uint64_t> keys;
      for (const TokenId block : request.blocks) keys.push_back((1U + std::uint64_t(block)) * 0x9E3779B97F4A7C15ULL);
      exact.look_up(keys);
      sampled.look_up(keys);
    }
    for (std::size_t i = 0; i < cache::MissCurve::kFactors.size(); ++i) {
      const double hit = rate(trace, "lru", static_cast<std::uint32_t>(kCapacity * cache::MissCurve::kFactors[i]));
      EXPECT_NEAR(exact.hit_rate(i), hit, 0.005) << i;
      EXPECT_NEAR(sampled.hit_rate(i), hit, 0.05) << i;
    }
  }
}

struct Kind {
  std::string name;
  Trace (*make)(unsigned seed);
  double least = 0.99;  ///< of LRU's hits
  unsigned seeds = 3;
};

class Adaptive : public testing::TestWithParam<Kind> {};

// A single short trace's rates differ by chance; the sums over some do not.
TEST_P(Adaptive, IsNowhereMuchBelowLru) {
  for (const double part : {0.01, 0.03, 0.1, 0.3}) {
    double lru = 0, adaptive = 0;
    for (unsigned seed = 1; seed <= GetParam().seeds; ++seed) {
      const Trace trace = GetParam().make(seed);
      const auto capacity = static_cast<std::uint32_t>(part * trace.distinct_blocks);
      lru += rate(trace, "lru", capacity);
      adaptive += rate(trace, "adaptive", capacity);
    }
    EXPECT_GE(adaptive, GetParam().least * lru) << "of lru's " << lru << " at " << part;
  }
}

TEST(AdaptivePolicy, GainsWhereLruIsWrong) {
  EXPECT_GT(rate(shared_prompts(1), "adaptive", 180), 1.2 * rate(shared_prompts(1), "lru", 180));
  EXPECT_GT(rate(scans(1), "adaptive", 230), 1.4 * rate(scans(1), "lru", 230));
  EXPECT_GT(rate(shifting(1), "adaptive", 120), 1.1 * rate(shifting(1), "lru", 120));
  EXPECT_EQ(rate(loop(1), "lru", 150), 0);
  EXPECT_GT(rate(loop(1), "adaptive", 150), 0.2);
}

constexpr Pauses kLongPauses{.least = 50,
                             .most = 1550,
                             .long_one = 0,
                             .first = 30,
                             .turn = 8,
                             .longest = 200,
                             .stay_later = 7,
                             .requests = 14000};

// Where every policy is as good as another (uniform), or LRU is best and the cache has some thirty blocks (recency),
// what is left of the difference is chance.
INSTANTIATE_TEST_SUITE_P(
    Traces, Adaptive,
    testing::Values(Kind{"multi_turn", [](unsigned seed) { return multi_turn(seed); }},
                    Kind{"shared_prompts", [](unsigned seed) { return shared_prompts(seed); }},
                    Kind{"loop", [](unsigned seed) { return loop(seed); }},
                    Kind{"uniform", [](unsigned seed) { return uniform(seed); }, 0.98},
                    Kind{"uniform_many", [](unsigned seed) { return uniform(seed, 3000, 9000); }, 0.97, 10},
                    Kind{"recency", [](unsigned seed) { return recency(seed); }, 0.985, 10},
                    Kind{"scans", [](unsigned seed) { return scans(seed); }},
                    Kind{"shifting", [](unsigned seed) { return shifting(seed); }},
                    Kind{"agents", [](unsigned seed) { return agents(seed); }, 0.99, 1},
                    Kind{"many_agents", [](unsigned seed) { return agents(seed, 1000, 400); }, 0.99, 1},
                    Kind{"document_questions", [](unsigned seed) { return document_questions(seed); }, 0.99, 1},
                    Kind{"one_shot", [](unsigned seed) { return one_shot(seed); }, 0.99, 1},
                    Kind{"mixed", [](unsigned seed) { return mixed(seed); }, 0.99, 1},
                    Kind{"phases", [](unsigned seed) { return phases(seed); }, 0.99, 1},
                    Kind{"repeats", [](unsigned seed) { return repeats(seed); }},
                    Kind{"pauses", [](unsigned seed) { return pauses(seed); }},
                    Kind{"long_pauses", [](unsigned seed) { return pauses(seed, kLongPauses); }, 0.99, 1}),
    [](const auto& info) { return info.param.name; });

TEST(RealTrace, AdaptiveIsBetterThanWhatIsSimple) {
  const char* path = std::getenv("HEADWATER_TEST_TRACE");
  if (path == nullptr) {
    GTEST_SKIP() << "set HEADWATER_TEST_TRACE to mooncake_conversation.jsonl to check the figures of the README";
  }
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const auto trace = parse_trace(text.str(), path);
  ASSERT_TRUE(trace) << trace.error().message;
  const double parts[] = {0.01, 0.03, 0.1, 0.3};
  const double lru[] = {0.053, 0.126, 0.279, 0.358};
  const double least[] = {0.11, 0.17, 0.29, 0.3577};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto capacity = static_cast<std::uint32_t>(parts[i] * trace->distinct_blocks);
    EXPECT_NEAR(rate(*trace, "lru", capacity), lru[i], 0.0006);
    EXPECT_GE(rate(*trace, "adaptive", capacity), least[i]);
  }
}

}  // namespace
}  // namespace headwater::cachesim
