#include "cache/tier/tier_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cache/tier/blocks.h"

namespace headwater::cache {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

Key key(std::uint8_t n) { return {n}; }
const TenantMark kAlice = tenant_mark("aaaaaaaaaaaa"), kBob = tenant_mark("bbbbbbbbbbbb");

TEST(TierIndex, TellsTheOlderHalf) {
  TierIndex index;
  for (std::uint8_t n = 1; n <= 4; ++n) index.put({key(n)});
  EXPECT_TRUE(index.old(key(1)));
  EXPECT_FALSE(index.old(key(3)));
  index.put({key(1)});
  EXPECT_FALSE(index.old(key(1)));
  EXPECT_TRUE(index.old(key(2)));
  EXPECT_EQ(index.size(), 4U);
}

TEST(TierIndex, GivesWhatHasExpiredAndKeepsWhatWasUsedAgain) {
  TierIndex index;
  EXPECT_EQ(index.next_expiry(), kNever);
  index.put({key(1), {kAlice, 100}});
  index.put({key(2), {kAlice, 200}});
  index.put({key(3), {kBob, 100}});
  index.put({key(4)});
  index.prolong(key(3), 300);
  index.prolong(key(2), 150);
  index.prolong(key(4), 5);
  EXPECT_EQ(index.next_expiry(), 100);
  EXPECT_THAT(index.take_expired(99), IsEmpty());
  EXPECT_THAT(index.take_expired(250), ElementsAre(key(1), key(2)));
  EXPECT_EQ(index.next_expiry(), 300);
  index.put({key(3), {kBob, 900}});
  EXPECT_EQ(index.next_expiry(), 900);
  index.prolong(key(3), kNever);
  EXPECT_EQ(index.next_expiry(), kNever);
  EXPECT_EQ(index.size(), 2U);
}

TEST(TierIndex, KnowsWhatEachTenantHas) {
  TierIndex index;
  index.put({key(1), {kAlice, kNever}});
  index.put({key(2), {kAlice, 50}});
  index.put({key(3), {kBob, kNever}});
  index.put({key(4), {kBob, kNever}});
  index.put({key(4), {kAlice, kNever}});
  EXPECT_EQ(index.blocks_of(kAlice), 3U);
  EXPECT_EQ(index.blocks_of(kBob), 1U);
  index.erase(key(1));
  index.erase(key(1));
  EXPECT_THAT(index.take(kAlice), UnorderedElementsAre(key(2), key(4)));
  EXPECT_THAT(index.take(kAlice), IsEmpty());
  EXPECT_EQ(index.blocks_of(kAlice), 0U);
  EXPECT_EQ(index.tenants().size(), 1U);
  EXPECT_EQ(index.next_expiry(), kNever);
  index.clear();
  EXPECT_EQ(index.size() + index.tenants().size(), 0U);
}

TEST(TierIndex, NamesTenantsByTheirDigest) {
  EXPECT_EQ(digest_of(tenant_mark("0123456789ab")), "0123456789ab");
  EXPECT_EQ(digest_of(tenant_mark("")), "");
  EXPECT_NE(digest_of(tenant_mark("0123456789abc")), "0123456789abc");
}

}  // namespace
}  // namespace headwater::cache
