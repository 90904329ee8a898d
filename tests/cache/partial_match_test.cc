// Blocks that agree in part, and the tails of requests, in the prefix cache.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>

#include "cache/eviction.h"
#include "tests/cache/requests.h"
#include "tests/support/sample.h"

namespace headwater::cache {
namespace {

std::uint32_t cached(PrefixCache& cache, RequestId id, const std::vector<TokenId>& tokens, std::string_view salt = "") {
  const MatchResult found = cache.match(id, tokens, salt, true);
  EXPECT_EQ(found.blocks.size(), (found.cached_tokens + kSize - 1) / kSize);
  EXPECT_EQ(cache.check(), "");
  cache.release(id, found.blocks);
  EXPECT_EQ(cache.check(), "");
  return found.cached_tokens;
}

TEST(PartialMatch, ReusesABlockOfWhichEnoughAgrees) {
  for (const auto& [threshold, least] : std::map<double, std::size_t>{{0, 1}, {0.3, 3}, {0.8, 8}, {1, 10}}) {
    PrefixCache cache(options(8, threshold));
    serve(cache, 1, counting(30));
    for (std::size_t same = 10; same <= 20; ++same) {
      const bool enough = same - 10 >= least;
      EXPECT_EQ(cached(cache, 2, diverging(same, 40)), enough || same == 10 ? same : 10U) << threshold;
    }
  }
}

TEST(PartialMatch, BeginsWithTheFirstBlockToo) {
  PrefixCache cache(options(8));
  serve(cache, 1, counting(10));
  EXPECT_EQ(cached(cache, 2, diverging(9, 12)), 9U);
  EXPECT_EQ(cached(cache, 3, diverging(7, 12)), 0U);
}

TEST(PartialMatch, LeavesTheLastTokenToBeComputed) {
  PrefixCache cache(options(8));
  serve(cache, 1, counting(25));
  EXPECT_EQ(cached(cache, 2, counting(20)), 19U);
  EXPECT_EQ(cached(cache, 3, counting(25)), 24U);
  EXPECT_EQ(cached(cache, 4, counting(26)), 25U);
  EXPECT_EQ(cached(cache, 5, counting(1)), 0U);
}

TEST(PartialMatch, ReusesAShortTailThatAgreesAsAWholeWhateverTheThreshold) {
  for (double threshold : {0.0, 0.8, 1.0}) {
    PrefixCache cache(options(8, threshold));
    serve(cache, 1, counting(12));
    EXPECT_EQ(cache.counts().cached, 2U);
    EXPECT_EQ(cached(cache, 2, counting(40)), 12U);
    EXPECT_EQ(cached(cache, 3, diverging(11, 40)), threshold > 0 ? 10U : 11U);
  }
}

TEST(PartialMatch, KeepsWhatIsCopiedUntilTheCopyIsMade) {
  PrefixCache cache(options(3));
  serve(cache, 1, counting(15));
  const MatchResult found = cache.match(2, counting(40), "", true);
  EXPECT_EQ(cache.counts().active, 2U);
  EXPECT_EQ(cache.reclaim(3, found.blocks).size(), 1U);
  cache.release_copied(std::span(found.blocks).last(1));
  EXPECT_EQ(cache.counts().cached, 1U);
  EXPECT_EQ(cache.reclaim(1, found.blocks), std::vector<BlockId>{found.blocks.back()});
  EXPECT_EQ(cache.check(), "");
  EXPECT_THROW(cache.release_copied(std::vector<BlockId>{99}), std::logic_error);
}

TEST(PartialMatch, LetsManyCopyOneTail) {
  PrefixCache cache(options(8));
  serve(cache, 1, counting(15));
  const MatchResult two = cache.match(2, counting(40), "", true);
  const MatchResult three = cache.match(3, counting(40, 0), "", true);
  EXPECT_EQ(two.blocks, three.blocks);
  cache.release_copied(std::span(two.blocks).last(1));
  EXPECT_EQ(cache.counts().active, 2U);
  cache.release(2, std::span(two.blocks).first(1));
  cache.release(3, three.blocks);
  EXPECT_EQ(cache.counts().cached, 2U);
  EXPECT_EQ(cache.check(), "");
}

TEST(PartialMatch, KeepsOneOfTwoEqualTails) {
  PrefixCache cache(options(8));
  serve(cache, 1, counting(15));
  serve(cache, 2, counting(15));
  EXPECT_EQ(cache.counts().cached, 2U);
  serve(cache, 3, counting(17));  // one that goes on is another
  EXPECT_EQ(cache.counts().cached, 3U);
  EXPECT_EQ(cached(cache, 4, counting(40)), 17U);
  EXPECT_EQ(cached(cache, 5, diverging(15, 40)), 15U);
}

TEST(PartialMatch, EvictsATailBeforeItsParent) {
  PrefixCache cache(options(2));
  Evictor evictor(make_policy("lru", 2).value(), 2);
  serve(cache, 1, counting(15));
  evictor.on_touches(cache.take_touches(), 1);
  const auto victims = evictor.victims(2);
  ASSERT_EQ(victims.size(), 2U);
  EXPECT_EQ(cache.reclaim(1, victims), std::vector<BlockId>{victims[0]});
  EXPECT_EQ(cached(cache, 2, counting(40)), 10U);
}

TEST(PartialMatch, NeverSharesBetweenTenants) {
  PrefixCache cache(options(8, 0));
  serve(cache, 1, counting(15), "a");
  EXPECT_EQ(cached(cache, 2, counting(40), "b"), 0U);
  EXPECT_EQ(cached(cache, 3, counting(8), ""), 0U);
  EXPECT_EQ(cached(cache, 4, counting(40), "a"), 15U);
}

TEST(PartialMatch, IndexesNoTailOfAPrivateChainOrOfARequestThatIsUnknown) {
  PrefixCache cache(options(8));
  for (RequestId id : {1U, 2U}) cache.match(id, counting(15), "", true);
  const auto one = cache.reclaim(2, {}), two = cache.reclaim(2, {});
  cache.publish(1, std::span(one).first(1), counting(10));
  cache.publish(2, std::span(two).first(1), counting(10));  // a twin
  cache.release(2, two, counting(5, 10));
  EXPECT_EQ(cache.counts().free, 6U);
  cache.release(1, one, counting(5, 10));
  cache.release(1, {}, counting(5, 10));
  EXPECT_EQ(cache.counts().cached, 2U);
  EXPECT_EQ(cache.check(), "");
}

TEST(PartialMatch, ThrowsForATailWithoutABlock) {
  PrefixCache cache(options(8));
  cache.match(1, counting(15), "", true);
  const auto blocks = cache.reclaim(1, {});
  EXPECT_THROW(cache.release(1, {}, counting(5)), std::logic_error);
  EXPECT_THROW(cache.release(1, blocks, counting(10)), std::logic_error);
}

TEST(PartialMatch, KeepsNoTailWhenItIsOff) {
  PrefixCacheOptions off = options(8);
  off.enabled = false;
  PrefixCache cache(off);
  serve(cache, 1, counting(15));
  EXPECT_EQ(cache.counts().free, 8U);
}

/// A model of the cache's users: each holds what it was given and knows what every block holds.
class Users {
 public:
  explicit Users(std::uint64_t seed)
      : random_(seed),
        grid_(kSize, seed % 5 < 2 ? kSize / 2 : 0),
        cache_([&] {
          PrefixCacheOptions given = options(10, static_cast<double>(seed % 6) / 5);
          given.grid = grid_;
          return given;
        }()),
        evictor_(make_policy("lru", 10).value(), 10) {}

  void act() {
    const std::uint64_t dice = random_() % 10;
    if (dice < 4 || users_.empty()) {
      arrive();
    } else {
      auto user = std::next(users_.begin(), std::ptrdiff_t(random_() % users_.size()));
      dice < 8 ? go_on(user->first, user->second) : leave(user->first, true);
    }
    evictor_.on_touches(cache_.take_touches(), ++now_);
    ASSERT_EQ(cache_.check(), "");
    const BlockCounts counts = cache_.counts();
    ASSERT_EQ(counts.free + counts.active + counts.cached, counts.total);
  }
  void leave_all() {
    while (!users_.empty()) leave(users_.begin()->first, random_() % 2 == 0);
    EXPECT_EQ(cache_.check(), "");
    EXPECT_EQ(cache_.counts().active, 0U);
  }
  std::uint64_t copied() const { return copied_; }

 private:
  struct User {
    std::vector<TokenId> tokens;
    std::vector<BlockId> blocks;
    BlockId borrowed = -1;
    std::uint32_t computed = 0, published = 0;
    TokenId salt = 0;
  };

  void arrive() {
    User user;
    user.salt = static_cast<TokenId>(random_() % 2);
    for (std::size_t n = 1 + random_() % 35; n > 0; --n) {
      user.tokens.push_back(static_cast<TokenId>(random_() % 12 == 0 ? 1 : 0));
    }
    const MatchResult found = cache_.match(++last_, user.tokens, user.salt == 0 ? "a" : "b", true);
    user.computed = found.cached_tokens;
    copied_ += found.details.copied_tokens;
    user.published = grid_.whole(user.computed);
    user.blocks.assign(found.blocks.begin(), found.blocks.begin() + user.published);
    if (found.blocks.size() > user.published) user.borrowed = found.blocks.back();
    ASSERT_LT(user.computed, user.tokens.size());
    for (std::size_t i = 0; i < found.blocks.size(); ++i) ASSERT_EQ(cache_.describe(found.blocks[i]).depth, i);
    for (std::uint32_t p = 0; p < user.computed; ++p) {
      const std::uint32_t of = grid_.block_of(p);
      const BlockId block = of < user.published ? user.blocks[of] : user.borrowed;
      ASSERT_EQ(held_.at({block, grid_.slot(p)}), content(user, p));
    }
    users_[last_] = std::move(user);
  }
  void go_on(RequestId id, User& user) {
    if (user.computed == user.tokens.size()) return leave(id, true);
    const auto more = static_cast<std::uint32_t>(1 + random_() % (user.tokens.size() - user.computed));
    const std::uint32_t end = user.computed + more, needed = grid_.covering(end);
    const auto lacks = static_cast<std::uint32_t>(needed - user.blocks.size());
    const auto own = cache_.reclaim(lacks, evictor_.victims(lacks));
    if (own.size() < lacks) {
      cache_.give_back(own);
      return leave(id, true);
    }
    user.blocks.insert(user.blocks.end(), own.begin(), own.end());
    if (user.borrowed >= 0) {
      for (std::uint32_t i = 0; i < kSize; ++i) held_[{user.blocks[user.published], i}] = held_[{user.borrowed, i}];
      cache_.release_copied(std::vector<BlockId>{user.borrowed});
      user.borrowed = -1;
    }
    for (; user.computed < end; ++user.computed) {
      held_[{user.blocks[grid_.block_of(user.computed)], grid_.slot(user.computed)}] = content(user, user.computed);
    }
    const std::uint32_t full = grid_.whole(end);
    cache_.publish(
        id, std::span(user.blocks).subspan(user.published, full - user.published),
        std::span(user.tokens).subspan(grid_.begin(user.published), grid_.begin(full) - grid_.begin(user.published)));
    user.published = full;
  }
  void leave(RequestId id, bool with_tail) {
    const User user = users_.extract(id).mapped();
    auto blocks = user.blocks;
    if (user.borrowed >= 0) blocks.push_back(user.borrowed);
    const bool tail = with_tail && user.borrowed < 0;
    cache_.release(id, blocks,
                   std::span(user.tokens).subspan(grid_.begin(user.published), tail ? grid_.slot(user.computed) : 0));
  }
  /// All that a row depends on.
  static std::vector<TokenId> content(const User& user, std::uint32_t position) {
    std::vector<TokenId> all{user.salt};
    all.insert(all.end(), user.tokens.begin(), user.tokens.begin() + position + 1);
    return all;
  }

  std::mt19937_64 random_;
  kernels::BlockGrid grid_;  ///< in some, the first block holds half
  PrefixCache cache_;
  Evictor evictor_;
  std::map<RequestId, User> users_;
  std::map<std::pair<BlockId, std::uint32_t>, std::vector<TokenId>> held_;
  RequestId last_ = 0;
  std::uint64_t copied_ = 0;
  TimeNs now_ = 0;
};

TEST(PartialMatch, FindsOnlyWhatABlockHoldsWhateverTheOrderOfCalls) {
  std::uint64_t copied = 0;
  for (std::uint64_t seed = 1; seed <= test::sampled(150U, 1000U) && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Users users(seed);
    for (int i = 0; i < 120 && !testing::Test::HasFatalFailure(); ++i) users.act();
    users.leave_all();
    copied += users.copied();
  }
  EXPECT_GT(copied, test::sampled(1'000U, 10'000U));
}

}  // namespace
}  // namespace headwater::cache
