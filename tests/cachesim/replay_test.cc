#include "tools/cachesim/replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cache/miss_curve.h"
#include "tools/cachesim/families.h"
#include "tools/cachesim/judge.h"
#include "tools/cachesim/trace_maker.h"
#include "tools/cachesim/trace_parts.h"

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

/// Documents of five blocks at random, all equally likely.
Trace uniform(std::size_t documents, std::size_t requests) {
  TraceMaker make(1);
  const auto all = make.documents(documents, 5, 5);
  for (std::size_t i = 0; i < requests; ++i) make.add(all[make.below(documents)]);
  return make.finish();
}

Trace family(std::string_view name, unsigned seed) {
  return std::ranges::find(families(), name, &Family::name)->make(seed);
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
  const Trace trace = uniform(20, 1000);
  ASSERT_TRUE(replay(trace, {"lru", 10}, [&](std::uint64_t n) { done += n; }));
  EXPECT_EQ(done, 1000U);
}

TEST(Replay, RefusesAnUnknownPolicy) {
  EXPECT_FALSE(replay(uniform(2, 2), {"best", 4}, [](std::uint64_t) {}));
}

TEST(Replay, KnowingTheFutureIsBestAndAllBlocksAreEnough) {
  const Trace trace = family("code_completion", 1);
  for (const std::string& policy : cache::policy_names()) {
    EXPECT_LE(rate(trace, policy, trace.distinct_blocks / 10), rate(trace, kOptimal, trace.distinct_blocks / 10));
    EXPECT_DOUBLE_EQ(rate(trace, policy, trace.distinct_blocks), rate(trace, kOptimal, trace.distinct_blocks))
        << policy;
  }
}

/// What the server's cache advisor says of other sizes is what those sizes hit.
TEST(Replay, AgreesWithTheMissCurve) {
  constexpr std::uint32_t kCapacity = 400;
  for (const Trace& trace : {family("multi_turn", 2), family("shared_prompts", 3), family("recency", 4)}) {
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

class RealTrace : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("HEADWATER_TEST_TRACE");
    if (path == nullptr) {
      GTEST_SKIP() << "set HEADWATER_TEST_TRACE to mooncake_conversation.jsonl to check the figures of docs/CACHE.md";
    }
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    auto parsed = parse_trace(text.str(), path);
    ASSERT_TRUE(parsed) << parsed.error().message;
    trace = std::move(*parsed);
  }

  Trace trace;
};

TEST_F(RealTrace, AdaptiveIsBetterThanWhatIsSimple) {
  const double lru[] = {0.053, 0.126, 0.279, 0.358};
  const double least[] = {0.105, 0.172, 0.293, 0.357};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto capacity = static_cast<std::uint32_t>(kJudgedSizes[i] * trace.distinct_blocks);
    EXPECT_NEAR(rate(trace, "lru", capacity), lru[i], 0.0006);
    EXPECT_GE(rate(trace, "adaptive", capacity), least[i]);
  }
}

/// Each keeps the law, and over all of them adaptive is better than the best simple policy of each.
TEST_F(RealTrace, AdaptiveIsBetterInTheSecondHalfAloneAsItIsBackwardsAndInSamples) {
  Summary sum;
  for (const auto& [name, variant] : variants(trace, Part::second)) {
    for (const double part : kJudgedSizes) {
      const Verdict verdict = judge(variant, part);
      EXPECT_GE(verdict.above_law(), -1e-6) << name << " at " << part;
      EXPECT_LE(verdict.below_lru(), 0.02) << name << " at " << part;
      sum.add(verdict);
    }
  }
  EXPECT_GT(sum.advantage(), 0);
}

}  // namespace
}  // namespace headwater::cachesim
