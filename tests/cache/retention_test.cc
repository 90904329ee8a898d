#include "cache/retention.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

using Blocks = std::vector<BlockId>;

Keep of(const std::string& tenant, std::uint8_t priority = kNormalPriority, std::optional<TimeNs> ttl = {}) {
  Keep keep;
  keep.tenant = tenant;
  keep.priority = priority;
  keep.ttl = ttl;
  return keep;
}

/// Adds blocks first … first + n - 1, each below the one before.
void add_chain(Retention& retention, BlockId first, int n, const Keep& keep = {}) {
  for (int i = 0; i < n; ++i) retention.add(first + i, i == 0 ? -1 : first + i - 1, keep);
}

void set_idle(Retention& retention, BlockId first, int n, TimeNs now) {
  for (int i = n; i > 0; --i) retention.set_idle(first + i - 1, now);
}

/// All that has expired at `now`, in order.
Blocks expire(Retention& retention, TimeNs now) {
  Blocks gone;
  while (const auto block = retention.expired(now)) {
    gone.push_back(*block);
    retention.remove(*block);
  }
  return gone;
}

TEST(Retention, KeepsIdleBlocksForTheirTimeAndThenGivesUpTheDeepestFirst) {
  Retention retention({.ttl = 100}, 8);
  add_chain(retention, 0, 3);
  EXPECT_EQ(retention.next_expiry(), kNever) << "blocks in use do not expire";
  set_idle(retention, 0, 3, 50);
  EXPECT_EQ(retention.next_expiry(), 150);
  EXPECT_EQ(expire(retention, 149), Blocks());
  EXPECT_EQ(expire(retention, 150), (Blocks{2, 1, 0}));
}

TEST(Retention, CountsFromTheLastUse) {
  Retention retention({.ttl = 100}, 8);
  add_chain(retention, 0, 2);
  set_idle(retention, 0, 2, 0);
  retention.set_busy(0);
  retention.set_idle(0, 60);
  EXPECT_EQ(expire(retention, 100), Blocks{1});
  EXPECT_EQ(expire(retention, 159), Blocks());
  EXPECT_EQ(expire(retention, 160), Blocks{0});
}

TEST(Retention, UsesABlockTogetherWithAllBeforeIt) {
  Retention retention({.ttl = 100}, 8);
  add_chain(retention, 0, 3);
  retention.set_idle(0, 0);
  retention.set_idle(1, 0);
  retention.set_idle(2, 60);  // the last reference to a copied block, say
  EXPECT_EQ(expire(retention, 159), Blocks());
  EXPECT_EQ(expire(retention, 160), (Blocks{2, 1, 0}));
}

TEST(Retention, TakesTheLongestTimeAndTheHighestPriorityOfAllUsers) {
  Retention retention({.ttl = 100}, 8);
  retention.add(0, -1, of("", 20, 50));
  EXPECT_EQ(retention.priority(0), 20);
  EXPECT_FALSE(retention.use(0, of("", 10, 200)));
  EXPECT_TRUE(retention.use(0, of("", 70, 10)));
  EXPECT_EQ(retention.priority(0), 70);
  retention.set_idle(0, 0);
  EXPECT_EQ(retention.next_expiry(), 200);
  retention.remove(0);
  retention.add(0, -1, of("", 30));
  EXPECT_EQ(retention.priority(0), 30) << "what is forgotten counts no more";
  retention.set_idle(0, 0);
  EXPECT_EQ(retention.next_expiry(), 100);
}

TEST(Retention, PinsAChainUntilItsTimeIsOver) {
  Retention retention({.ttl = 100, .max_pinned = 4}, 8);
  add_chain(retention, 0, 3);
  set_idle(retention, 0, 3, 0);
  EXPECT_EQ(retention.pin("", 1, 500).pinned, (Blocks{0, 1}));
  EXPECT_TRUE(retention.pinned(0) && retention.pinned(1) && !retention.pinned(2));
  EXPECT_EQ(expire(retention, 400), Blocks{2});
  EXPECT_EQ(retention.end_pins(499).unpinned, Blocks());
  EXPECT_EQ(retention.next_expiry(), 500);
  EXPECT_EQ(retention.end_pins(500).unpinned, (Blocks{0, 1}));
  EXPECT_EQ(expire(retention, 500), (Blocks{1, 0})) << "they have been idle for longer than their ttl";
  EXPECT_EQ(retention.pinned_blocks(), 0U);
}

TEST(Retention, KeepsTheLongerOfTwoPinsOfTheSameBlocks) {
  Retention retention({.max_pinned = 4}, 8);
  add_chain(retention, 0, 3);
  retention.pin("", 2, 500);
  EXPECT_EQ(retention.pin("", 2, 300).pinned, Blocks());
  EXPECT_EQ(retention.pins(), 1U);
  EXPECT_EQ(retention.pin("", 1, 900).pinned, Blocks());
  EXPECT_EQ(retention.end_pins(499).unpinned, Blocks());
  EXPECT_EQ(retention.end_pins(500).unpinned, Blocks{2});
  EXPECT_EQ(retention.unpin(1).unpinned, (Blocks{0, 1}));
  EXPECT_EQ(retention.unpin(1).unpinned, Blocks());
}

TEST(Retention, PinsAsManyFromTheFirstOnAsTheLimitsLeave) {
  Retention retention({.max_pinned = 3, .tenant_quota = 2}, 16);
  add_chain(retention, 0, 4, of("alice"));
  add_chain(retention, 4, 4, of("bob"));
  EXPECT_EQ(retention.pin("", 3, 500).pinned, (Blocks{0, 1})) << "of one tenant";
  EXPECT_EQ(retention.pin("", 7, 500).pinned, Blocks{4}) << "of all";
  EXPECT_EQ(retention.pinned_blocks(), 3U);
  EXPECT_EQ(retention.pin("", 7, 900).pinned, Blocks());
  EXPECT_EQ(retention.end_pins(500).unpinned, (Blocks{0, 1}));
  EXPECT_EQ(retention.pin("", 7, 900).pinned, Blocks{5});

  Retention none({}, 4);
  add_chain(none, 0, 1);
  EXPECT_EQ(none.pin("", 0, 500).pinned, Blocks());
  EXPECT_EQ(none.pins(), 0U);
}

TEST(Retention, MovesTheOnePinOfASession) {
  Retention retention({.max_pinned = 3}, 16);
  add_chain(retention, 0, 4);
  EXPECT_EQ(retention.pin("chat", 2, 500).pinned, (Blocks{0, 1, 2}));
  retention.add(8, 1, {});
  const PinChange next = retention.pin("chat", 8, 400);  // the third block is another now
  EXPECT_EQ(next.pinned, Blocks{8});
  EXPECT_EQ(next.unpinned, Blocks{2});
  EXPECT_EQ(retention.pins(), 1U);
  retention.unpin(8);
  EXPECT_TRUE(retention.pinned(8)) << "only its session can end it";
  EXPECT_EQ(retention.end_pins(400).unpinned, (Blocks{0, 1, 8})) << "a session's time is that of its last turn";
  retention.pin("chat", 0, 900);
  EXPECT_EQ(retention.unpin_session("chat").unpinned, Blocks{0});
}

TEST(Retention, CountsWhatEachTenantHolds) {
  Retention retention({.max_pinned = 3}, 8);
  add_chain(retention, 0, 3, of("alice"));
  retention.set_idle(2, 0);
  retention.pin("", 1, 500);
  const Tenant* alice = retention.tenants().find("alice");
  EXPECT_EQ(alice->blocks, 3U);
  EXPECT_EQ(alice->cached, 1U);
  EXPECT_EQ(alice->pinned, 2U);
  retention.remove(2);
  EXPECT_EQ(alice->blocks, 2U);
  EXPECT_EQ(alice->cached, 0U);
}

}  // namespace
}  // namespace headwater::cache
