#include "cache/tier/tier_books.h"

#include <gtest/gtest.h>

#include "tests/cache/tier/blocks.h"

namespace headwater::cache {
namespace {

using State = TierStats::State;
using schedule::TimeNs;

constexpr TimeNs kSecond = 1'000'000'000;
constexpr std::uint32_t kDeep = 40;  ///< blocks of 8 tokens: costly

class TierBooksTest : public testing::Test {
 protected:
  TierBooksTest() { books_.on_open({}, now_); }

  CachedBlock cached(const TierBlock& block, std::uint32_t depth, bool matched = false) {
    return {1, block.name.key, block.name.parent, block.name.tokens, depth, matched, block.terms};
  }
  void saved(const TierBlock& block, std::vector<Key> dropped = {}) {
    SaveOutcome outcome;
    outcome.key = block.name.key;
    outcome.dropped = std::move(dropped);
    books_.on_saved(outcome, now_);
  }
  void save_fails(const TierBlock& block) {
    SaveOutcome outcome;
    outcome.key = block.name.key;
    outcome.error = "no space left on device";
    books_.on_saved(outcome, now_);
  }
  static LoadOutcome loaded(std::size_t blocks, TimeNs duration = 1000) {
    LoadOutcome outcome;
    outcome.blocks.resize(blocks);
    outcome.duration = duration;
    return outcome;
  }
  static OpenOutcome open_fails() {
    OpenOutcome outcome;
    outcome.error = "no such device";
    return outcome;
  }

  TierBlock of_tenant(const char* tenant, unsigned seed, TimeNs expires = kNever) {
    TierBlock block = block_of(seed);
    block.terms = {tenant_mark(tenant), expires};
    return block;
  }
  void keep(const TierBlock& block) {
    ASSERT_TRUE(books_.takes_save(cached(block, kDeep)));
    saved(block);
  }

  TimeNs now_ = kSecond;
  TierBooks books_{{.block_tokens = 8, .block_bytes = 1000, .max_saves = 4, .max_staged = 10}};
};

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

TEST_F(TierBooksTest, IsOffWhileItCannotBeOpened) {
  books_.reset();
  EXPECT_EQ(books_.stats().state, State::off);
  books_.on_open(open_fails(), now_);
  EXPECT_EQ(books_.stats().state, State::off);
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), kDeep)));
  EXPECT_EQ(books_.takes_load(1, 5, now_).blocks, 0U);
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
  const TierLoad load = books_.takes_load(1, 5, now_);
  EXPECT_EQ(load.blocks, 5U);
  EXPECT_EQ(load.wait_until, now_ + 40'000'000);
  EXPECT_LT(load.read_until, load.wait_until);
  EXPECT_GT(load.read_until, now_);
}

TEST_F(TierBooksTest, CountsWhatALoadHasSpared) {
  const TierLoad load = books_.takes_load(1, 5, now_);
  books_.on_loaded(load.number, loaded(3), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 24U);
  EXPECT_EQ(books_.stats().state, State::on);
  std::uint64_t loads = 0;
  for (const std::uint64_t n : books_.stats().load_seconds_counts) loads += n;
  EXPECT_EQ(loads, 1U);
}

TEST_F(TierBooksTest, LoadsNoMoreThanItMayKeepBesideTheArena) {
  const TierLoad first = books_.takes_load(1, 7, now_);
  EXPECT_EQ(first.blocks, 7U);
  EXPECT_EQ(books_.takes_load(2, 7, now_).blocks, 3U);
  EXPECT_EQ(books_.takes_load(3, 7, now_).blocks, 0U);
  books_.on_loaded(first.number, loaded(6), now_);
  const TierLoad third = books_.takes_load(3, 7, now_);
  EXPECT_EQ(third.blocks, 1U);
  books_.give_up(third.number, false, now_);
  EXPECT_EQ(books_.takes_load(4, 7, now_).blocks, 0U) << "it is read all the same";
  books_.on_loaded(third.number, loaded(1), now_);
  books_.on_settled(1);
  EXPECT_EQ(books_.takes_load(4, 20, now_).blocks, 7U);
}

TEST_F(TierBooksTest, LeavesATierAloneThatWasTooLateAndTriesItAgainLater) {
  const TierLoad load = books_.takes_load(1, 5, now_);
  books_.give_up(load.number, true, now_);
  EXPECT_EQ(books_.stats().state, State::degraded);
  EXPECT_EQ(books_.stats().late_loads, 1U);
  EXPECT_EQ(books_.takes_load(2, 5, now_).blocks, 0U);
  books_.on_loaded(load.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 0U) << "nobody waited for it";
  now_ += kSecond / 10;
  const TierLoad again = books_.takes_load(2, 5, now_);
  EXPECT_EQ(again.blocks, 5U);
  books_.on_loaded(again.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().state, State::on);
}

TEST_F(TierBooksTest, NeitherLoadsNorSavesWhereComputingIsAsFast) {
  books_.set_prefill_speed(1000);  // 8 ms a block
  for (int i = 0; i < 20; ++i) {
    now_ += 11 * kSecond;
    const TierLoad load = books_.takes_load(1, 5, now_);
    ASSERT_EQ(load.blocks, 5U) << "once in a while it is tried";
    books_.on_loaded(load.number, loaded(5, 5 * 9'000'000), now_);
    books_.on_settled(1);
  }
  EXPECT_EQ(books_.takes_load(1, 5, now_).blocks, 0U);
  EXPECT_EQ(books_.stats().too_slow, 1U);
  EXPECT_FALSE(books_.takes_save(cached(block_of(1), kDeep)));
  books_.set_prefill_speed(500);
  EXPECT_EQ(books_.takes_load(1, 5, now_).blocks, 5U);
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
}

TEST_F(TierBooksTest, ForgetsBlocksThatWereNotThereAndStopsWhereTheDeviceFails) {
  OpenOutcome opened;
  for (unsigned i = 0; i < 3; ++i) opened.entries.push_back(block_of(i).entry());
  books_.on_open(opened, now_);
  TierLoad load = books_.takes_load(1, 3, now_);
  LoadOutcome outcome = loaded(1);
  outcome.gone = {block_of(1).name.key};
  outcome.mismatches = 1;
  books_.on_loaded(load.number, outcome, now_);
  EXPECT_FALSE(books_.knows(block_of(1).name.key));
  EXPECT_EQ(books_.stats().mismatches, 1U);
  EXPECT_EQ(books_.stats().state, State::on);

  load = books_.takes_load(2, 3, now_);
  outcome = loaded(0);
  outcome.error = "input/output error";
  books_.on_loaded(load.number, outcome, now_);
  EXPECT_EQ(books_.stats().state, State::off);
  EXPECT_EQ(books_.takes_load(3, 3, now_).blocks, 0U);
  EXPECT_TRUE(books_.takes_open(now_ + kSecond));
}

TEST_F(TierBooksTest, IgnoresAnswersOfAnEarlierEpoch) {
  const TierLoad load = books_.takes_load(1, 5, now_);
  EXPECT_TRUE(books_.takes_save(cached(block_of(1), kDeep)));
  books_.reset();
  books_.on_open({}, now_);
  books_.on_loaded(load.number, loaded(5), now_);
  EXPECT_EQ(books_.stats().hit_tokens, 0U);
  EXPECT_EQ(books_.takes_load(2, 10, now_).blocks, 10U);
}

// ---- erasing ----

constexpr const char* kAlice = "aaaaaaaaaaaa";
constexpr const char* kBob = "bbbbbbbbbbbb";

TEST_F(TierBooksTest, FlushesOneTenantOrAll) {
  const TierBlock alice = of_tenant(kAlice, 1), bob = of_tenant(kBob, 2);
  keep(alice);
  keep(bob);
  EXPECT_EQ(books_.flush("aaaaaaaaaaaaa"), 0U) << "another's name";
  EXPECT_TRUE(books_.take_erasure().empty());
  EXPECT_EQ(books_.flush(kAlice), 1U);
  EXPECT_FALSE(books_.knows(alice.name.key));
  EXPECT_TRUE(books_.knows(bob.name.key));
  const Erasure erasure = books_.take_erasure();
  EXPECT_EQ(erasure.keys, std::vector{alice.name.key});
  EXPECT_FALSE(erasure.all);
  EXPECT_TRUE(books_.take_erasure().empty());
  EXPECT_EQ(books_.flush(std::nullopt), 1U);
  EXPECT_FALSE(books_.knows(bob.name.key));
  EXPECT_TRUE(books_.take_erasure().all);
}

TEST_F(TierBooksTest, ErasesWhatIsSavedAfterItsFlush) {
  const TierBlock alice = of_tenant(kAlice, 1), bob = of_tenant(kBob, 2);
  EXPECT_TRUE(books_.takes_save(cached(alice, kDeep)));
  EXPECT_TRUE(books_.takes_save(cached(bob, kDeep)));
  books_.flush(kAlice);
  books_.take_erasure();
  saved(bob);
  EXPECT_TRUE(books_.knows(bob.name.key));
  EXPECT_TRUE(books_.takes_save(cached(alice, kDeep))) << "computed anew meanwhile";
  saved(alice);
  EXPECT_EQ(books_.take_erasure().keys, std::vector{alice.name.key}) << "that was the old one";
  saved(alice);
  EXPECT_TRUE(books_.take_erasure().empty());
  EXPECT_TRUE(books_.knows(alice.name.key));
}

TEST_F(TierBooksTest, FlushesATierThatIsNotOpenAsItOpens) {
  const TierBlock alice = of_tenant(kAlice, 1), bob = of_tenant(kBob, 2);
  OpenOutcome opened;
  opened.entries = {alice.entry(), bob.entry()};
  books_.reset();
  EXPECT_EQ(books_.flush(kAlice), 0U);
  EXPECT_TRUE(books_.take_erasure().empty());
  books_.on_open(opened, now_);
  EXPECT_FALSE(books_.knows(alice.name.key));
  EXPECT_TRUE(books_.knows(bob.name.key));
  EXPECT_EQ(books_.take_erasure().keys, std::vector{alice.name.key});

  books_.reset();
  books_.flush(std::nullopt);
  books_.on_open(opened, now_);
  EXPECT_FALSE(books_.knows(bob.name.key));
  EXPECT_TRUE(books_.take_erasure().all);
}

TEST_F(TierBooksTest, ErasesAgainWhatCouldNotBeErased) {
  for (const bool all : {false, true}) {
    const TierBlock alice = of_tenant(kAlice, 1);
    OpenOutcome opened;
    opened.entries = {alice.entry()};
    books_.on_open(opened, now_);
    books_.flush(all ? std::nullopt : std::optional<std::string>(kAlice));
    for (const char* error : {"read-only file system", ""}) {
      const Erasure erasure = books_.take_erasure();
      EXPECT_FALSE(erasure.empty());
      EXPECT_EQ(erasure.all, all);
      EraseOutcome outcome;
      outcome.error = error;
      books_.on_erased(erasure, outcome, now_);
      EXPECT_EQ(books_.open(), outcome.error.empty());
      if (outcome.error.empty()) break;
      books_.on_open(opened, now_);  // it is still there
      EXPECT_FALSE(books_.knows(alice.name.key));
    }
    books_.on_open(opened, now_);  // saved since
    EXPECT_TRUE(books_.knows(alice.name.key));
    EXPECT_TRUE(books_.take_erasure().empty());
  }
}

TEST_F(TierBooksTest, GivesUpWhatHasExpiredUnlessItIsUsedAgain) {
  keep(of_tenant(kAlice, 1, now_ + 10));
  keep(of_tenant(kAlice, 2, now_ + 10));
  EXPECT_EQ(books_.next_expiry(), now_ + 10);
  EXPECT_FALSE(books_.takes_save(cached(of_tenant(kAlice, 2, now_ + 50), kDeep)));
  books_.advance(now_ + 9);
  EXPECT_TRUE(books_.take_erasure().empty());
  books_.advance(now_ + 10);
  EXPECT_FALSE(books_.knows(block_of(1).name.key));
  EXPECT_TRUE(books_.knows(block_of(2).name.key));
  EXPECT_EQ(books_.take_erasure().keys, std::vector{block_of(1).name.key});
}

/// Room for four blocks, of which a tenant may have two.
class TierQuota : public TierBooksTest {
 protected:
  TierQuota() {
    books_ = TierBooks({.block_tokens = 8, .block_bytes = 1000, .max_saves = 4, .max_staged = 10, .tenant_quota = 0.5});
    OpenOutcome opened;
    opened.store = state(0, std::nullopt);
    books_.on_open(opened, now_);
  }
  static StoreState state(std::uint64_t blocks, std::optional<TenantMark> next_out) {
    return {blocks * 1000, 4500, next_out};
  }
  void saved_with(const TierBlock& block, const StoreState& state) {
    SaveOutcome outcome;
    outcome.key = block.name.key;
    outcome.store = state;
    books_.on_saved(outcome, now_);
  }
};

TEST_F(TierQuota, KeepsATenantFromDrivingOutTheOthers) {
  const TenantMark bob = tenant_mark(kBob), alice = tenant_mark(kAlice);
  std::vector<TierBlock> blocks = {of_tenant(kBob, 1), of_tenant(kAlice, 2), of_tenant(kAlice, 3),
                                   of_tenant(kAlice, 4)};
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(books_.takes_save(cached(blocks[i], kDeep))) << "there is room for " << i;
    saved_with(blocks[i], state(i + 1, bob));
  }
  EXPECT_FALSE(books_.takes_save(cached(of_tenant(kAlice, 5), kDeep)));
  EXPECT_EQ(books_.stats().dropped_blocks, 1U);
  EXPECT_TRUE(books_.takes_save(cached(of_tenant(kBob, 6), kDeep))) << "it has its share";
  saved_with(of_tenant(kBob, 6), state(4, alice));
  EXPECT_TRUE(books_.takes_save(cached(of_tenant(kAlice, 7), kDeep))) << "it drives out its own";
  saved_with(of_tenant(kAlice, 7), state(4, std::nullopt));
  EXPECT_TRUE(books_.takes_save(cached(of_tenant(kAlice, 8), kDeep))) << "it drives out nobody's";
}

TEST_F(TierBooksTest, TellsWhoHasHowMuch) {
  keep(of_tenant(kAlice, 1));
  keep(of_tenant(kBob, 2));
  keep(of_tenant(kBob, 3));
  keep(of_tenant("", 4));
  const TierHoldings holdings = books_.holdings();
  EXPECT_EQ(holdings.blocks, 4U);
  EXPECT_EQ(holdings.tenants_total, 3U);
  ASSERT_EQ(holdings.tenants.size(), 3U);
  EXPECT_EQ(holdings.tenants[0].tenant, kBob);
  EXPECT_EQ(holdings.tenants[0].blocks, 2U);
  EXPECT_EQ(holdings.tenants[1].tenant, "");
}

}  // namespace
}  // namespace headwater::cache
