#include "cache/tier/tier_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cache/expiry_queue.h"
#include "tests/cache/tier/blocks.h"
#include "tests/cache/tier/fake_store.h"

namespace headwater::cache {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TierWorkerTest : public testing::Test {
 protected:
  TierWorkerTest() : worker_(make_worker()) {
    worker_.open();
    for (const TierBlock& block : chain_) EXPECT_EQ(worker_.save(block).error, "");
  }

  TierWorker make_worker() {
    return {std::make_unique<FakeStore>(faults_, records_, 5), 1000, [this] { return now_ += 10; },
            [this] { return now_ + kStart; }};
  }

  static constexpr TimeNs kStart = 1'000'000'000;  ///< since 1970
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::shared_ptr<FakeStore::Records> records_ = std::make_shared<FakeStore::Records>();
  TimeNs now_ = 0;
  std::vector<TierBlock> chain_ = chain_of(1, 4);
  TierWorker worker_;
};

TEST_F(TierWorkerTest, LoadsAChainAsItWasSaved) {
  const LoadOutcome loaded = worker_.load(names_of(chain_), kNever);
  ASSERT_THAT(loaded.blocks, SizeIs(4));
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(std::ranges::equal(loaded.blocks[i]->bytes(), chain_[i].bytes->bytes())) << i;
  }
  EXPECT_FALSE(loaded.late);
  EXPECT_THAT(loaded.gone, IsEmpty());
  EXPECT_EQ(loaded.error, "");
  EXPECT_GT(loaded.duration, 0);
}

TEST_F(TierWorkerTest, StopsAtABlockThatIsNotThere) {
  records_->erase(chain_[2].name.key);
  const LoadOutcome loaded = worker_.load(names_of(chain_), kNever);
  EXPECT_THAT(loaded.blocks, SizeIs(2));
  EXPECT_THAT(loaded.gone, ElementsAre(chain_[2].name.key));
  EXPECT_EQ(loaded.mismatches, 0U);
}

TEST_F(TierWorkerTest, DeletesABlockThatIsDamagedOrAnother) {
  records_->at(chain_[1].name.key).bytes = record_of(chain_[3]);
  LoadOutcome loaded = worker_.load(names_of(chain_), kNever);
  EXPECT_THAT(loaded.blocks, SizeIs(1));
  EXPECT_THAT(loaded.gone, ElementsAre(chain_[1].name.key));
  EXPECT_EQ(loaded.mismatches, 1U);
  EXPECT_FALSE(records_->contains(chain_[1].name.key));
  EXPECT_EQ(loaded.error, "");

  faults_->damages = true;
  loaded = worker_.load(names_of(chain_), kNever);
  EXPECT_THAT(loaded.blocks, IsEmpty());
  EXPECT_EQ(loaded.mismatches, 1U);
  EXPECT_FALSE(records_->contains(chain_[0].name.key));
}

TEST_F(TierWorkerTest, ReadsNoMoreOnceTheDeadlineHasPassed) {
  faults_->before_get = [this] { now_ += 1000; };
  const LoadOutcome loaded = worker_.load(names_of(chain_), now_ + 1500);
  EXPECT_THAT(loaded.blocks, SizeIs(2));
  EXPECT_TRUE(loaded.late);
  EXPECT_EQ(faults_->gets, 2);
  const LoadOutcome too_late = worker_.load(names_of(chain_), now_);
  EXPECT_THAT(too_late.blocks, IsEmpty());
  EXPECT_TRUE(too_late.late);
  EXPECT_EQ(faults_->gets, 2);
}

TEST_F(TierWorkerTest, TurnsWhateverFailsIntoAnError) {
  faults_->get_fails = true;
  EXPECT_THAT(worker_.load(names_of(chain_), kNever).error, HasSubstr("input/output"));
  faults_->get_fails = false;
  faults_->get_throws = true;
  EXPECT_THAT(worker_.load(names_of(chain_), kNever).error, HasSubstr("broken"));
  faults_->put_fails = true;
  EXPECT_THAT(worker_.save(chain_[0]).error, HasSubstr("no space"));
  faults_->open_fails = true;
  EXPECT_THAT(worker_.open().error, HasSubstr("no such device"));
}

TEST_F(TierWorkerTest, SaysWhatASaveHasCost) {
  const SaveOutcome fifth = worker_.save(block_of(100));
  EXPECT_THAT(fifth.dropped, IsEmpty());
  const SaveOutcome sixth = worker_.save(block_of(101));
  EXPECT_THAT(sixth.dropped, ElementsAre(chain_[0].name.key));
  EXPECT_EQ(sixth.key, block_of(101).name.key);
  EXPECT_EQ(sixth.store.bytes, 5 * record_of(chain_[0]).size());
}

TEST_F(TierWorkerTest, KeepsTheTermsOfABlockOverARestartAndErasesWhatHasExpired) {
  TierBlock lasting = block_of(100), brief = block_of(101);
  lasting.terms = {tenant_mark("0123456789ab"), now_ + 1'000'000};
  brief.terms.expires = now_ + 1000;
  EXPECT_EQ(worker_.save(lasting).error + worker_.save(brief).error, "");
  EXPECT_NEAR(static_cast<double>(records_->at(brief.name.key).terms.expires - kStart - brief.terms.expires), 0, 20);
  now_ += 2000;
  const TimeNs lag = 500'000;  // this process began later
  TierWorker next(
      std::make_unique<FakeStore>(faults_, records_, 5), 1000, [&] { return now_ - lag; },
      [this] { return now_ + kStart; });
  const OpenOutcome opened = next.open();
  EXPECT_EQ(opened.error, "");
  EXPECT_FALSE(records_->contains(brief.name.key));
  ASSERT_THAT(opened.entries, SizeIs(4));
  for (const TierEntry& entry : opened.entries) {
    if (entry.key != lasting.name.key) {
      EXPECT_EQ(entry.terms, TierTerms{});
      continue;
    }
    EXPECT_EQ(entry.terms.tenant, lasting.terms.tenant);
    EXPECT_NEAR(static_cast<double>(entry.terms.expires - (lasting.terms.expires - lag)), 0, 20);
  }
}

TEST_F(TierWorkerTest, ErasesSomeOrAll) {
  EXPECT_EQ(worker_.erase({.all = false, .keys = {chain_[1].name.key, chain_[2].name.key}}).error, "");
  EXPECT_THAT(*records_, SizeIs(2));
  EXPECT_EQ(worker_.erase({.all = true, .keys = {}}).store.bytes, 0U);
  EXPECT_THAT(*records_, IsEmpty());
  faults_->erase_fails = true;
  EXPECT_THAT(worker_.erase({.all = true, .keys = {}}).error, HasSubstr("read-only"));
}

}  // namespace
}  // namespace headwater::cache
