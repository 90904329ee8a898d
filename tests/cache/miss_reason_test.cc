// What a match says of the tokens that it has not found.

#include <gtest/gtest.h>

#include "tests/cache/requests.h"

namespace headwater::cache {
namespace {

class MissReason : public testing::Test {
 protected:
  std::vector<BlockId> serve(const std::vector<TokenId>& tokens, std::string_view salt = "") {
    return cache::serve(cache_, ++last_, tokens, salt);
  }
  /// Evicts cached blocks, and frees them.
  void evict(std::vector<BlockId> victims) {
    const auto free = cache_.reclaim(static_cast<std::uint32_t>(cache_.counts().free), {});
    cache_.give_back(cache_.reclaim(static_cast<std::uint32_t>(victims.size()), victims));
    cache_.give_back(free);
  }
  CacheDetails look_up(const std::vector<TokenId>& tokens, std::string_view salt = "", bool use_cache = true) {
    const MatchResult found = cache_.match(++last_, tokens, salt, use_cache);
    cache_.release(last_, found.blocks);
    EXPECT_EQ(cache_.check(), "");
    EXPECT_EQ(found.cached_tokens + found.details.missed_tokens + 1, tokens.size());
    return found.details;
  }

  PrefixCache cache_{options(8)};
  RequestId last_ = 0;
};

TEST_F(MissReason, IsNoneWhereAllButTheLastTokenIsFound) {
  serve(counting(25));
  EXPECT_EQ(look_up(counting(26)), (CacheDetails{5, CacheSource::memory, CacheMiss::none, 0}));
  EXPECT_EQ(look_up(counting(1)), (CacheDetails{0, CacheSource::none, CacheMiss::none, 0}));
}

TEST_F(MissReason, IsNeverSeenForWhatIsNew) {
  EXPECT_EQ(look_up(counting(25)), (CacheDetails{0, CacheSource::none, CacheMiss::never_seen, 24}));
  serve(counting(20));
  EXPECT_EQ(look_up(counting(45)), (CacheDetails{0, CacheSource::memory, CacheMiss::never_seen, 24}));
}

TEST_F(MissReason, IsEvictedForWhatWasThere) {
  const auto blocks = serve(counting(30));
  evict({blocks[2], blocks[1]});
  EXPECT_EQ(look_up(counting(31)), (CacheDetails{0, CacheSource::memory, CacheMiss::evicted, 20}));
  evict({blocks[0]});
  EXPECT_EQ(look_up(counting(31)), (CacheDetails{0, CacheSource::none, CacheMiss::evicted, 30}));
  auto other = counting(31);
  other[3] = 77;
  EXPECT_EQ(look_up(other).miss, CacheMiss::never_seen);
  serve(counting(30));
  EXPECT_EQ(look_up(counting(31)).miss, CacheMiss::none);
}

TEST_F(MissReason, IsEvictedAlsoWhereABlockOfAnotherTextAgreesInPart) {
  const auto blocks = serve(counting(20));
  evict({blocks[1]});
  auto other = counting(20);
  other[19] = 77;
  serve(other);
  EXPECT_EQ(look_up(counting(21)), (CacheDetails{9, CacheSource::memory, CacheMiss::evicted, 1}));
}

TEST_F(MissReason, IsBelowThresholdWhereABlockAgreesTooLittle) {
  serve(counting(20));
  EXPECT_EQ(look_up(diverging(17, 30)), (CacheDetails{0, CacheSource::memory, CacheMiss::below_threshold, 19}));
  EXPECT_EQ(look_up(diverging(18, 30)), (CacheDetails{8, CacheSource::memory, CacheMiss::never_seen, 11}));
}

TEST_F(MissReason, IsNeverSeenForWhatAnotherTenantHasOrHad) {
  const auto blocks = serve(counting(20), "a");
  auto alike = counting(20);
  alike[5] = 77;
  EXPECT_EQ(look_up(alike, "a").miss, CacheMiss::below_threshold);
  EXPECT_EQ(look_up(alike, "b"), (CacheDetails{0, CacheSource::none, CacheMiss::never_seen, 19}));
  EXPECT_EQ(look_up(counting(20), "b"), (CacheDetails{0, CacheSource::none, CacheMiss::never_seen, 19}));
  evict({blocks[1], blocks[0]});
  EXPECT_EQ(look_up(counting(20), "a").miss, CacheMiss::evicted);
  EXPECT_EQ(look_up(counting(20), "b").miss, CacheMiss::never_seen);
  EXPECT_EQ(look_up(counting(20)).miss, CacheMiss::never_seen);
}

TEST_F(MissReason, IsBypassedWhereNothingIsLookedFor) {
  serve(counting(20));
  EXPECT_EQ(look_up(counting(20), "", false), (CacheDetails{0, CacheSource::none, CacheMiss::bypassed, 19}));
  PrefixCacheOptions disabled = options(8);
  disabled.enabled = false;
  PrefixCache off(disabled);
  EXPECT_EQ(off.match(1, counting(20), "", true).details.miss, CacheMiss::bypassed);
}

TEST_F(MissReason, IsNeverSeenAfterAReset) {
  const auto blocks = serve(counting(20));
  evict({blocks[1], blocks[0]});
  cache_.reset();
  EXPECT_EQ(look_up(counting(20)).miss, CacheMiss::never_seen);
}

}  // namespace
}  // namespace headwater::cache
