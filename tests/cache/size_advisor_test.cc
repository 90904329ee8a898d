#include "cache/size_advisor.h"

#include <gtest/gtest.h>

#include "tests/cache/requests.h"

namespace headwater::cache {
namespace {

std::vector<CacheSize> sizes(std::array<double, 6> hit_rates) {
  std::vector<CacheSize> sizes;
  for (std::size_t i = 0; i < hit_rates.size(); ++i) {
    const double factor = MissCurve::kFactors[i];
    const auto blocks = static_cast<std::uint64_t>(factor * 1024);
    sizes.push_back({factor, blocks, blocks << 20U, hit_rates[i]});
  }
  return sizes;
}

TEST(SizeAdvice, AsksForPatienceWhileLittleIsKnown) {
  EXPECT_EQ(size_advice(sizes({}), 12, "lru"),
            "Only 12 blocks of prompts were looked up so far; after 1000 there is something to go by.");
}

TEST(SizeAdvice, NamesTheLeastMemoryThatBringsMostOfWhatMoreCanBring) {
  EXPECT_EQ(size_advice(sizes({0.1, 0.2, 0.3, 0.55, 0.6, 0.6}), 5000, "lru"),
            "2 times the memory (2.0 GiB) under lru would hit 55.0% of the blocks asked for instead of 30.0%.");
  EXPECT_EQ(size_advice(sizes({0.1, 0.2, 0.3, 0.4, 0.5, 0.9}), 5000, "lru"),
            "8 times the memory (8.0 GiB) under lru would hit 90.0% of the blocks asked for instead of 30.0%.");
}

TEST(SizeAdvice, NamesTheLeastMemoryThatWouldDo) {
  EXPECT_EQ(
      size_advice(sizes({0.2, 0.595, 0.6, 0.6, 0.601, 0.61}), 5000, "lru"),
      "More memory would bring lru little: 8 times the memory (8.0 GiB) would hit 61.0% of the blocks asked for, and "
      "now 60.0% are hit. 0.5 times the memory (512.0 MiB) would do: it would hit 59.5%.");
  EXPECT_EQ(
      size_advice(sizes({0.1, 0.3, 0.6, 0.6, 0.6, 0.6}), 5000, "lru"),
      "More memory would bring lru little: 8 times the memory (8.0 GiB) would hit 60.0% of the blocks asked for, and "
      "now 60.0% are hit. 0.5 times the memory (512.0 MiB) would hit only 30.0%.");
}

/// A cache of 8 blocks, and what its advisor hears of it.
class Advised {
 public:
  void ask(const std::vector<TokenId>& tokens) {
    advisor.look_up(cache.root("", ""), tokens);
    const std::size_t free = cache.counts().free, needed = (tokens.size() + kSize - 1) / kSize;
    if (needed > free) cache.reset();
    serve(cache, ++last_, tokens);
    advisor.on_touches(cache.take_touches());
  }

  PrefixCache cache{options(8)};
  SizeAdvisor advisor{8, kSize, "lru"};

 private:
  RequestId last_ = 0;
};

TEST(SizeAdvisor, CountsTheWholeBlocksThatMayBeFound) {
  Advised advised;
  advised.ask(counting(30));  // two: the last token is computed
  advised.ask(counting(31));
  const CacheAdvice advice = advised.advisor.advise(1000);
  EXPECT_EQ(advice.looked_up_blocks, 2U + 3U);
  ASSERT_EQ(advice.sizes.size(), 6U);
  EXPECT_EQ(advice.sizes[0].capacity_blocks, 2U);
  EXPECT_EQ(advice.sizes[5].capacity_blocks, 64U);
  EXPECT_EQ(advice.sizes[5].bytes, 64'000U);
  EXPECT_EQ(advice.sizes[2].factor, 1);
  EXPECT_DOUBLE_EQ(advice.sizes[2].hit_rate, 3.0 / 5);  // also the block of the answer, which nobody asked for before
  EXPECT_DOUBLE_EQ(advice.sizes[0].hit_rate, 2.0 / 5);
}

TEST(SizeAdvisor, SaysHowMuchMemoryALoopOfPromptsNeeds) {
  Advised advised;
  for (TokenId i = 0; i < 600; ++i) advised.ask(counting(31, 1000 * (i % 7)));  // 28 blocks with the tails
  const CacheAdvice advice = advised.advisor.advise(1 << 20);
  EXPECT_LT(advice.sizes[2].hit_rate, 0.01);
  EXPECT_GT(advice.sizes[4].hit_rate, 0.95);
  EXPECT_NE(advice.advice.find("4 times the memory (32.0 MiB)"), std::string::npos) << advice.advice;
}

TEST(SizeAdvisor, SpeaksOfThePolicyInUse) {
  // A loop that is longer than the cache: LRU hits nothing of it, and what learns that hits a part.
  constexpr std::uint32_t kBlocks = 300;
  SizeAdvisor lru(kBlocks, kSize, "lru"), adaptive(kBlocks, kSize, "adaptive"), unknown(kBlocks, kSize, "of-mine");
  PrefixCache cache{options(kBlocks)};
  for (TokenId i = 0; i < 20000; ++i) {
    const auto prompt = counting(11, 1000 * (i % 450));
    for (SizeAdvisor* advisor : {&lru, &adaptive, &unknown}) advisor->look_up(cache.root("", ""), prompt);
  }
  const CacheAdvice plain = lru.advise(1), own = adaptive.advise(1);
  EXPECT_NE(own.advice.find("adaptive"), std::string::npos) << own.advice;
  EXPECT_LT(plain.sizes[2].hit_rate, 0.01);
  EXPECT_GT(own.sizes[2].hit_rate, 0.2);
  EXPECT_NEAR(own.sizes[3].hit_rate, plain.sizes[3].hit_rate, 0.02) << "twice the size holds all";
  EXPECT_EQ(unknown.advise(1).advice, plain.advice) << "what is not known is taken for LRU";
}

TEST(SizeAdvisor, KnowsAnswersUnderAnyPolicy) {
  PrefixCache cache{options(8)};
  SizeAdvisor advisor(8, kSize, "lfu");
  advisor.look_up(cache.root("", ""), counting(11));
  serve(cache, 1, counting(30));  // two blocks more, one of them full, that nobody had asked for
  advisor.on_touches(cache.take_touches());
  advisor.look_up(cache.root("", ""), counting(25));
  const CacheAdvice advice = advisor.advise(1);
  EXPECT_EQ(advice.looked_up_blocks, 3U);
  EXPECT_DOUBLE_EQ(advice.sizes[2].hit_rate, 2.0 / 3);
}

}  // namespace
}  // namespace headwater::cache
