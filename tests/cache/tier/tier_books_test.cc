// What to save and what to load.

#include <algorithm>

#include "tests/cache/tier/tier_books_fixture.h"

namespace headwater::cache {
namespace {

using State = TierStats::State;

TEST_F(TierBooksTest, SavesWhatWasReusedAndWhatIsDeep) {
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), 3)));
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), 3, true)));
  EXPECT_FALSE(books_.takes_save(cached(block_of(2), 30)));
  EXPECT_TRUE(books_.takes_save(cached(block_of(2), 31)));
}

TEST_F(TierBooksTest, SavesTheWholeChainOfABlockThatItSaves) {
  const auto chain = chain_of(1, 3);
  EXPECT_TRUE(books_.takes_save(cached(chain[2], 2, true)));
  EXPECT_TRUE(books_.takes_save(cached(chain[1], 1)));
  EXPECT_TRUE(books_.takes_save(cached(chain[0], 0)));
  EXPECT_FALSE(books_.takes_save(cached(chain_of(2, 1)[0], 0)));
}

TEST_F(TierBooksTest, SavesNoTailsAndNothingThatIsThereAlready) {
  TierBlock block = block_of(1);
  EXPECT_TRUE(books_.takes_save(cached(block, kDeep)));
  EXPECT_FALSE(books_.takes_save(cached(block, kDeep)));
  saved(block);
  EXPECT_FALSE(books_.takes_save(cached(block, kDeep)));
  EXPECT_TRUE(books_.knows(block.name.key));
  block = block_of(2);
  block.name.tokens.pop_back();
  EXPECT_FALSE(books_.takes_save(cached(block, kDeep, true)));
}

TEST_F(TierBooksTest, SavesAgainWhatWouldSoonBeGivenUp) {
  const TierBlock first = block_of(1);
  EXPECT_TRUE(books_.takes_save(cached(first, kDeep)));
  saved(first);
  for (unsigned i = 2; i <= 5; ++i) {
    EXPECT_TRUE(books_.takes_save(cached(block_of(i), kDeep)));
    saved(block_of(i));
  }
  EXPECT_FALSE(books_.takes_save(cached(block_of(3), kDeep)));
  EXPECT_TRUE(books_.takes_save(cached(first, kDeep)));
}

TEST_F(TierBooksTest, ForgetsWhatTheTierHasGivenUp) {
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
  saved(block_of(1));
  EXPECT_TRUE(books_.takes_save(cached(block_of(2), kDeep)));
  saved(block_of(2), {block_of(1).name.key});
  EXPECT_FALSE(books_.knows(block_of(1).name.key));
  EXPECT_EQ(books_.stats().blocks, 1U);
  EXPECT_EQ(books_.stats().saved_blocks, 2U);
}

TEST_F(TierBooksTest, DropsAndCountsWhatFindsTheQueueFull) {
  for (unsigned i = 1; i <= 4; ++i) EXPECT_TRUE(books_.takes_save(cached(block_of(i), kDeep)));
  EXPECT_FALSE(books_.takes_save(cached(block_of(5), kDeep)));
  EXPECT_EQ(books_.stats().dropped_blocks, 1U);
  saved(block_of(1));
  EXPECT_TRUE(books_.takes_save(cached(block_of(5), kDeep)));
}

TEST_F(TierBooksTest, StopsSavingWhereASaveFailsAndTriesAnewAfterLongerAndLongerPauses) {
  TimeNs pause = kSecond;
  EXPECT_FALSE(books_.takes_open(now_));
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
    EXPECT_TRUE(books_.takes_save(cached(block_of(2), kDeep)));
    save_fails(block_of(1));
    save_fails(block_of(2));  // of the same cause
    EXPECT_EQ(books_.stats().state, State::degraded);
    EXPECT_FALSE(books_.takes_save(cached(block_of(3), kDeep)));
    EXPECT_FALSE(books_.takes_open(now_ + pause - 1));
    now_ += pause;
    EXPECT_TRUE(books_.takes_open(now_));
    EXPECT_FALSE(books_.takes_open(now_)) << "it is under way";
    books_.on_open({}, now_);
    pause = std::min(2 * pause, 60 * kSecond);
  }
  EXPECT_EQ(books_.stats().errors, 16U);
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
  saved(block_of(1));
  EXPECT_EQ(books_.stats().state, State::on);
  EXPECT_TRUE(books_.takes_save(cached(block_of(2), kDeep)));
  save_fails(block_of(2));
  EXPECT_TRUE(books_.takes_open(now_ + kSecond)) << "after a success the first pause is short";
}

TEST_F(TierBooksTest, IsOffWhileADeviceHangs) {
  books_.on_hung(now_);
  EXPECT_EQ(books_.stats().state, State::off);
  EXPECT_TRUE(books_.troubled());
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), kDeep)));
  EXPECT_EQ(books_.takes_load(1, 0, 5, now_).blocks, 0U);
  EXPECT_TRUE(books_.takes_open(now_ + kSecond));
  books_.on_open({}, now_ + kSecond);
  EXPECT_EQ(books_.stats().state, State::on);
  EXPECT_FALSE(books_.troubled());
}

TEST_F(TierBooksTest, IsOffWhileItCannotBeOpened) {
  books_.reset();
  EXPECT_EQ(books_.stats().state, State::off);
  books_.on_open(open_fails(), now_);
  EXPECT_EQ(books_.stats().state, State::off);
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), kDeep)));
  EXPECT_EQ(books_.takes_load(1, 0, 5, now_).blocks, 0U);
  EXPECT_FALSE(books_.takes_open(now_));
  EXPECT_TRUE(books_.takes_open(now_ + kSecond));
  OpenOutcome opened;
  opened.entries = {block_of(1).entry()};
  books_.on_open(opened, now_ + kSecond);
  EXPECT_EQ(books_.stats().state, State::on);
  EXPECT_TRUE(books_.knows(block_of(1).name.key));
}

TEST_F(TierBooksTest, WaitsForALoadNoLongerThanComputingTakes) {
  books_.set_prefill_speed(1000);
  const TierLoad load = books_.takes_load(1, 0, 5, now_);
  EXPECT_EQ(load.blocks, 5U);
  EXPECT_EQ(load.wait_until, now_ + 40'000'000);
  EXPECT_LT(load.read_until, load.wait_until);
  EXPECT_GT(load.read_until, now_);
}

TEST_F(TierBooksTest, CountsWhatALoadHasSpared) {
  const TierLoad load = books_.takes_load(1, 0, 5, now_);
  books_.on_loaded(load.number, loaded(3), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 24U);
  EXPECT_EQ(books_.stats().state, State::on);
  std::uint64_t loads = 0;
  for (const std::uint64_t n : books_.stats().load_seconds_counts) loads += n;
  EXPECT_EQ(loads, 1U);
}

/// The first block of a sequence holds four tokens, the others eight.
class TierBooksOfAShortFirstBlock : public TierBooksTest {
 protected:
  TierBooksOfAShortFirstBlock() {
    books_ = TierBooks({.grid = {8, 4}, .block_bytes = 1000, .max_saves = 4, .max_staged = 10});
    books_.on_open({}, now_);
  }
  static TierBlock short_block(unsigned seed) {
    TierBlock block = block_of(seed);
    block.name.tokens.resize(4);
    return block;
  }
};

TEST_F(TierBooksOfAShortFirstBlock, SaveWhatIsWholeWhereItStands) {
  EXPECT_TRUE(books_.takes_save(cached(short_block(1), 0, true)));
  EXPECT_FALSE(books_.takes_save(cached(short_block(2), 1, true))) << "a tail";
  EXPECT_TRUE(books_.takes_save(cached(block_of(3), 1, true)));
}

TEST_F(TierBooksOfAShortFirstBlock, SaveABlockThatIsDeepByTheTokensUpToItsEnd) {
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), 31)));  // 252
  EXPECT_TRUE(books_.takes_save(cached(block_of(2), 32)));
}

TEST_F(TierBooksOfAShortFirstBlock, CountTheTokensOfTheBlocksThatWereLoaded) {
  books_.set_prefill_speed(1000);
  const TierLoad first = books_.takes_load(1, 0, 5, now_);
  EXPECT_EQ(first.wait_until, now_ + 36'000'000);
  books_.on_loaded(first.number, loaded(3), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 20U);
  const TierLoad later = books_.takes_load(2, 1, 5, now_);
  EXPECT_EQ(later.wait_until, now_ + 40'000'000);
  books_.on_loaded(later.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 60U);
}

TEST_F(TierBooksTest, LoadsNoMoreThanItMayKeepBesideTheArena) {
  const TierLoad first = books_.takes_load(1, 0, 7, now_);
  EXPECT_EQ(first.blocks, 7U);
  EXPECT_EQ(books_.takes_load(2, 0, 7, now_).blocks, 3U);
  EXPECT_EQ(books_.takes_load(3, 0, 7, now_).blocks, 0U);
  books_.on_loaded(first.number, loaded(6), now_);
  const TierLoad third = books_.takes_load(3, 0, 7, now_);
  EXPECT_EQ(third.blocks, 1U);
  books_.give_up(third.number, false, now_);
  EXPECT_EQ(books_.takes_load(4, 0, 7, now_).blocks, 0U) << "it is read all the same";
  books_.on_loaded(third.number, loaded(1), now_);
  books_.on_settled(1);
  EXPECT_EQ(books_.takes_load(4, 0, 20, now_).blocks, 7U);
}

TEST_F(TierBooksTest, LeavesATierAloneThatWasTooLateAndTriesItAgainLater) {
  const TierLoad load = books_.takes_load(1, 0, 5, now_);
  books_.give_up(load.number, true, now_);
  EXPECT_EQ(books_.stats().state, State::degraded);
  EXPECT_EQ(books_.stats().late_loads, 1U);
  EXPECT_EQ(books_.takes_load(2, 0, 5, now_).blocks, 0U);
  books_.on_loaded(load.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 0U) << "nobody waited for it";
  now_ += kSecond / 10;
  const TierLoad again = books_.takes_load(2, 0, 5, now_);
  EXPECT_EQ(again.blocks, 5U);
  books_.on_loaded(again.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().state, State::on);
}

TEST_F(TierBooksTest, NeitherLoadsNorSavesWhereComputingIsAsFast) {
  books_.set_prefill_speed(1000);  // 8 ms a block
  for (int i = 0; i < 20; ++i) {
    now_ += 11 * kSecond;
    const TierLoad load = books_.takes_load(1, 0, 5, now_);
    ASSERT_EQ(load.blocks, 5U) << "once in a while it is tried";
    books_.on_loaded(load.number, loaded(5, 5 * 9'000'000), now_);
    books_.on_settled(1);
  }
  EXPECT_EQ(books_.takes_load(1, 0, 5, now_).blocks, 0U);
  EXPECT_EQ(books_.stats().too_slow, 1U);
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), kDeep)));
  books_.set_prefill_speed(500);
  EXPECT_EQ(books_.takes_load(1, 0, 5, now_).blocks, 5U);
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
}

TEST_F(TierBooksTest, ForgetsBlocksThatWereNotThereAndStopsWhereTheDeviceFails) {
  OpenOutcome opened;
  for (unsigned i = 0; i < 3; ++i) opened.entries.push_back(block_of(i).entry());
  books_.on_open(opened, now_);
  TierLoad load = books_.takes_load(1, 0, 3, now_);
  LoadOutcome outcome = loaded(1);
  outcome.gone = {block_of(1).name.key};
  outcome.mismatches = 1;
  books_.on_loaded(load.number, outcome, now_);
  EXPECT_FALSE(books_.knows(block_of(1).name.key));
  EXPECT_EQ(books_.stats().mismatches, 1U);
  EXPECT_EQ(books_.stats().state, State::on);

  load = books_.takes_load(2, 0, 3, now_);
  outcome = loaded(0);
  outcome.error = "input/output error";
  books_.on_loaded(load.number, outcome, now_);
  EXPECT_EQ(books_.stats().state, State::off);
  EXPECT_EQ(books_.takes_load(3, 0, 3, now_).blocks, 0U);
  EXPECT_TRUE(books_.takes_open(now_ + kSecond));
}

TEST_F(TierBooksTest, IgnoresAnswersOfAnEarlierEpoch) {
  const TierLoad load = books_.takes_load(1, 0, 5, now_);
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
  books_.reset();
  books_.on_open({}, now_);
  books_.on_loaded(load.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 0U);
  EXPECT_EQ(books_.takes_load(2, 0, 10, now_).blocks, 10U);
}

}  // namespace
}  // namespace headwater::cache
