// What a tier is to erase, and who may write over whose blocks.

#include "tests/cache/tier/tier_books_fixture.h"

namespace headwater::cache {
namespace {

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

TEST_F(TierBooksTest, KeepsWhatIsSavedAfterAFlushWhereTheSaveBeforeItFails) {
  const TierBlock alice = of_tenant(kAlice, 1);
  EXPECT_TRUE(books_.takes_save(cached(alice, kDeep)));
  books_.flush(kAlice);
  books_.take_erasure();
  EXPECT_TRUE(books_.takes_save(cached(alice, kDeep)));
  save_fails(alice);
  saved(alice);
  EXPECT_TRUE(books_.knows(alice.name.key));
  EXPECT_TRUE(books_.take_erasure().empty());
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
    books_ = TierBooks({.grid = 8, .block_bytes = 1000, .max_saves = 4, .max_staged = 10, .tenant_quota = 0.5});
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
