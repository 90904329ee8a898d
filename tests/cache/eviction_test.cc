#include "cache/eviction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace headwater::cache {
namespace {

using Kind = Touch::Kind;

Evictor lru(std::uint32_t total_blocks) { return {make_policy("lru", total_blocks).value(), total_blocks}; }

Touch published(BlockId block, BlockId parent, std::uint32_t depth, std::uint64_t key = 0) {
  return {Kind::published, block, parent, depth, key};
}
Touch touch(Kind kind, BlockId block) { return {kind, block}; }

void feed(Evictor& evictor, TimeNs now, std::vector<Touch> touches) { evictor.on_touches(touches, now); }

TEST(Eviction, OffersNoBlockThatIsInUse) {
  Evictor evictor = lru(4);
  feed(evictor, 1, {published(0, -1, 0), published(1, -1, 0), touch(Kind::idle, 1)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1}));
  feed(evictor, 2, {touch(Kind::busy, 1)});
  EXPECT_TRUE(evictor.victims(9).empty());
  EXPECT_EQ(evictor.candidates(), 0U);
}

TEST(Eviction, GivesUpWhatWasUsedLongestAgo) {
  Evictor evictor = lru(4);
  feed(evictor, 1, {published(0, -1, 0), published(1, -1, 0), published(2, -1, 0)});
  feed(evictor, 2, {touch(Kind::idle, 2)});
  feed(evictor, 3, {touch(Kind::idle, 0)});
  feed(evictor, 4, {touch(Kind::idle, 1)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{2, 0, 1}));
  feed(evictor, 5, {touch(Kind::busy, 2), touch(Kind::idle, 2)});
  EXPECT_EQ(evictor.victims(2), (std::vector<BlockId>{0, 1}));
}

TEST(Eviction, TakesTheDeeperOfTwoUsedAtTheSameTime) {
  Evictor evictor = lru(4);
  feed(evictor, 1, {published(0, -1, 0), published(1, 0, 1), published(2, 1, 2), published(3, -1, 0)});
  feed(evictor, 2, {touch(Kind::idle, 0), touch(Kind::idle, 1), touch(Kind::idle, 2), touch(Kind::idle, 3)});
  EXPECT_EQ(evictor.victims(3), (std::vector<BlockId>{2, 1, 0}));
}

TEST(Eviction, KeepsAParentWhileAChildIsInUseOrStillThere) {
  Evictor evictor = lru(4);
  feed(evictor, 1, {published(0, -1, 0), published(1, 0, 1), published(2, 0, 1)});
  feed(evictor, 2, {touch(Kind::idle, 0), touch(Kind::idle, 1)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1}));
  feed(evictor, 3, {touch(Kind::idle, 2)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1, 2, 0}));
  feed(evictor, 4, {touch(Kind::forgotten, 1), touch(Kind::forgotten, 2)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{0}));
}

Touch published_by(TenantId tenant, std::uint8_t priority, BlockId block, BlockId parent = -1,
                   std::uint32_t depth = 0) {
  return {Kind::published, block, parent, depth, 0, tenant, priority};
}
/// Blocks first … last become idle one after the other.
void idle_in_turn(Evictor& evictor, BlockId first, BlockId last) {
  for (BlockId block = first; block <= last; ++block) feed(evictor, 10 + block, {touch(Kind::idle, block)});
}

TEST(Eviction, GivesUpLowPrioritiesFirstAndRanksWithinEach) {
  Evictor evictor = lru(8);
  feed(evictor, 1, {published_by(0, 90, 0), published_by(0, 50, 1), published_by(0, 10, 2), published_by(0, 50, 3)});
  idle_in_turn(evictor, 0, 3);
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{2, 1, 3, 0}));
  feed(evictor, 20, {{.kind = Kind::raised, .block = 2, .priority = 100}});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1, 3, 0, 2}));
}

TEST(Eviction, KeepsChildrenBeforeParentsWhateverTheirPriorities) {
  Evictor evictor = lru(8);
  feed(evictor, 1, {published_by(0, 10, 0), published_by(0, 90, 1, 0, 1), published_by(0, 50, 2)});
  idle_in_turn(evictor, 0, 2);
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{2, 1, 0}));
}

TEST(Eviction, OffersNoPinnedBlock) {
  Evictor evictor = lru(8);
  feed(evictor, 1, {published_by(0, 50, 0), published_by(0, 50, 1, 0, 1), published_by(0, 50, 2, 1, 2)});
  feed(evictor, 2, {touch(Kind::pinned, 0), touch(Kind::pinned, 1)});
  idle_in_turn(evictor, 0, 2);
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{2}));
  feed(evictor, 20, {touch(Kind::forgotten, 2), touch(Kind::unpinned, 1)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1}));
  feed(evictor, 21, {touch(Kind::unpinned, 0)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1, 0}));
}

TEST(Eviction, TakesFromATenantOverItsQuotaWhatIsOverIt) {
  Evictor evictor(make_policy("lru", 8).value(), 8, 2);
  feed(evictor, 1, {published_by(7, 50, 0), published_by(7, 50, 1)});
  for (BlockId block = 2; block < 6; ++block) feed(evictor, 2, {published_by(3, 50, block)});
  idle_in_turn(evictor, 0, 5);
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{2, 3, 0, 1, 4, 5}));
  feed(evictor, 30, {touch(Kind::forgotten, 2), touch(Kind::forgotten, 3)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{0, 1, 4, 5})) << "nobody is over it";
  feed(evictor, 31, {touch(Kind::busy, 0), touch(Kind::idle, 0)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{1, 4, 5, 0}));
}

TEST(Eviction, TakesFromTheTenantThatIsFurthestOverItsQuota) {
  Evictor evictor(make_policy("lru", 16).value(), 16, 1);
  for (BlockId block = 0; block < 3; ++block) feed(evictor, 1, {published_by(0, 50, block)});
  for (BlockId block = 3; block < 8; ++block) feed(evictor, 1, {published_by(1, 50, block)});
  idle_in_turn(evictor, 0, 7);
  EXPECT_EQ(evictor.victims(6), (std::vector<BlockId>{3, 4, 5, 0, 6, 1})) << "5 of 3, then in turns";
}

TEST(Eviction, TakesFromATenantOverAnEqualShareWhileAnotherIsActive) {
  Evictor evictor = lru(8);
  // The light tenant's are the oldest: alone, LRU would give them up first.
  feed(evictor, 1, {published_by(1, 0, 0), published_by(1, 0, 1)});
  for (BlockId block = 2; block < 8; ++block) feed(evictor, 2, {published_by(2, 0, block)});
  idle_in_turn(evictor, 0, 7);
  EXPECT_EQ(evictor.victims(3), (std::vector<BlockId>{2, 3, 0})) << "six of eight are two more than an equal share";
}

TEST(Eviction, GivesATenantThatIsAloneEverything) {
  Evictor evictor = lru(8);
  for (BlockId block = 0; block < 8; ++block) feed(evictor, 1, {published_by(3, 0, block)});
  idle_in_turn(evictor, 0, 7);
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(Eviction, KeepsNoShareForATenantThatHasGone) {
  constexpr TimeNs kLater = 1'000'000'000'000;
  Evictor evictor = lru(8);
  feed(evictor, 1, {published_by(1, 0, 0), published_by(1, 0, 1)});
  feed(evictor, 1, {published_by(2, 0, 2), published_by(2, 0, 3), published_by(2, 0, 4), published_by(2, 0, 5)});
  idle_in_turn(evictor, 0, 5);
  for (BlockId block = 6; block < 8; ++block) {
    feed(evictor, kLater, {published_by(2, 0, block)});
    feed(evictor, kLater + block, {touch(Kind::idle, block)});
  }
  EXPECT_EQ(evictor.victims(3), (std::vector<BlockId>{0, 1, 2}));
}

/// A tenant that scans new prompts beside one that asks for the same few again and again.
TEST(Eviction, KeepsWhatALightTenantUsesBesideOneThatFloods) {
  constexpr std::uint32_t kPool = 64;
  Evictor evictor = lru(kPool);
  std::vector<int> owner(kPool, -1);  // the light tenant's prompts are 0 … 9, the flood's 100 …
  std::uint32_t asked = 0, hits = 0;
  TimeNs now = 1;
  const auto use = [&](TenantId tenant, int prompt) {
    ++now;
    const auto found = std::ranges::find(owner, prompt);
    auto block = static_cast<BlockId>(found - owner.begin());
    if (found != owner.end()) {
      feed(evictor, now, {touch(Kind::busy, block), touch(Kind::idle, block)});
      return true;
    }
    const auto free = std::ranges::find(owner, -1);
    block = static_cast<BlockId>(free - owner.begin());
    if (free == owner.end()) {
      block = evictor.victims(1).at(0);
      feed(evictor, now, {touch(Kind::forgotten, block)});
    }
    owner[static_cast<std::size_t>(block)] = prompt;
    feed(evictor, now, {published_by(tenant, 0, block), touch(Kind::idle, block)});
    return false;
  };
  for (int i = 0; i < 5000; ++i) {
    use(2, 100 + i);
    if (i % 20 != 0) continue;
    ++asked;
    hits += use(1, i / 20 % 10) ? 1 : 0;
  }
  EXPECT_EQ(asked - hits, 10U) << "each of its prompts is computed once, as if it were alone";
}

TEST(Eviction, GoesOnToOthersWhereAllThatIsOverAQuotaIsPinned) {
  Evictor evictor(make_policy("lru", 8).value(), 8, 1);
  feed(evictor, 1, {published_by(0, 50, 0), published_by(0, 50, 1, 0, 1), published_by(0, 50, 2, 1, 2)});
  feed(evictor, 1, {published_by(1, 50, 3), touch(Kind::pinned, 0), touch(Kind::pinned, 1)});
  idle_in_turn(evictor, 0, 3);
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{2, 3}));
}

TEST(Eviction, ForgetsEverythingAtAReset) {
  Evictor evictor = lru(2);
  feed(evictor, 1, {published(0, -1, 0), touch(Kind::idle, 0)});
  evictor.reset();
  EXPECT_EQ(evictor.candidates(), 0U);
  EXPECT_TRUE(evictor.victims(9).empty());
  feed(evictor, 2, {published(0, -1, 0), touch(Kind::idle, 0)});
  EXPECT_EQ(evictor.victims(9), (std::vector<BlockId>{0}));
}

/// A forest of blocks beside the evictor, by the plainest means.
struct Forest {
  struct Node {
    bool indexed = false, idle = false;
    BlockId parent = -1;
    TimeNs used = 0;
  };
  std::vector<Node> nodes;

  bool has_child(BlockId block, const std::vector<BlockId>& gone) const {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const bool left = std::ranges::count(gone, static_cast<BlockId>(i)) == 0;
      if (nodes[i].indexed && nodes[i].parent == block && left) return true;
    }
    return false;
  }
  std::uint32_t depth(BlockId block) const {
    const BlockId parent = nodes[static_cast<std::size_t>(block)].parent;
    return parent < 0 ? 0 : 1 + depth(parent);
  }
  std::vector<BlockId> victims() const {
    std::vector<BlockId> gone;
    while (true) {
      BlockId best = -1;
      const auto order = [&](BlockId b) {
        return std::tuple(nodes[static_cast<std::size_t>(b)].used, -std::int64_t{depth(b)}, b);
      };
      for (BlockId b = 0; b < static_cast<BlockId>(nodes.size()); ++b) {
        const Node& node = nodes[static_cast<std::size_t>(b)];
        if (!node.indexed || !node.idle || std::ranges::count(gone, b) > 0 || has_child(b, gone)) continue;
        if (best < 0 || order(b) < order(best)) best = b;
      }
      if (best < 0) return gone;
      gone.push_back(best);
    }
  }
};

TEST(Eviction, ChoosesAsAPlainSearchDoesAfterAnySequenceOfTouches) {
  constexpr BlockId kBlocks = 12;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    Evictor evictor = lru(kBlocks);
    Forest forest{std::vector<Forest::Node>(kBlocks)};
    for (TimeNs now = 1; now <= 120; ++now) {
      const auto block = static_cast<BlockId>(random() % kBlocks);
      auto& node = forest.nodes[static_cast<std::size_t>(block)];
      const TimeNs time = now / 3;  // several at the same time
      if (!node.indexed) {
        BlockId parent = static_cast<BlockId>(random() % kBlocks);
        if (!forest.nodes[static_cast<std::size_t>(parent)].indexed) parent = -1;
        node = {true, false, parent, time};
        feed(evictor, time, {published(block, parent, forest.depth(block))});
      } else if (node.idle && random() % 3 == 0 && !forest.has_child(block, {})) {
        node = {};
        feed(evictor, time, {touch(Kind::forgotten, block)});
      } else {
        node.idle = !node.idle;
        node.used = time;
        feed(evictor, time, {touch(node.idle ? Kind::idle : Kind::busy, block)});
      }
      const auto expected = forest.victims();
      ASSERT_EQ(evictor.victims(kBlocks), expected) << "seed " << seed << " at " << now;
      const std::size_t n = random() % (kBlocks + 1);
      ASSERT_EQ(
          evictor.victims(static_cast<std::uint32_t>(n)),
          std::vector<BlockId>(expected.begin(), expected.begin() + std::ptrdiff_t(std::min(n, expected.size()))));
    }
  }
}

class EveryPolicy : public testing::TestWithParam<std::string> {};

TEST_P(EveryPolicy, GivesUpEveryIdleBlockAfterItsChildrenAndNoOther) {
  constexpr BlockId kBlocks = 40;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    Evictor evictor(make_policy(GetParam(), kBlocks).value(), kBlocks);
    Forest forest{std::vector<Forest::Node>(kBlocks)};
    const auto node = [&](BlockId block) -> Forest::Node& { return forest.nodes[static_cast<std::size_t>(block)]; };
    for (TimeNs now = 1; now <= 1500; ++now) {
      const auto block = static_cast<BlockId>(random() % kBlocks);
      if (!node(block).indexed) {
        BlockId parent = static_cast<BlockId>(random() % kBlocks);
        if (!node(parent).indexed || node(parent).idle) parent = -1;
        node(block) = {true, false, parent, now};
        feed(evictor, now, {published(block, parent, forest.depth(block), random() % 200)});
      } else if (random() % 4 > 0) {
        node(block).idle = !node(block).idle;
        feed(evictor, now, {touch(node(block).idle ? Kind::idle : Kind::busy, block)});
      } else if (const auto first = evictor.victims(1); !first.empty()) {
        node(first[0]) = {};
        feed(evictor, now, {touch(Kind::forgotten, first[0])});
      }
      if (now % 10 > 0) continue;
      const auto victims = evictor.victims(kBlocks);
      std::vector<BlockId> gone;
      for (const BlockId victim : victims) {
        ASSERT_TRUE(node(victim).indexed && node(victim).idle) << "seed " << seed << " at " << now;
        ASSERT_FALSE(forest.has_child(victim, gone)) << "seed " << seed << " at " << now;
        gone.push_back(victim);
      }
      ASSERT_EQ(victims.size(), forest.victims().size()) << "seed " << seed << " at " << now;
      const auto n = static_cast<std::uint32_t>(random() % (victims.size() + 1));
      ASSERT_EQ(evictor.victims(n), std::vector<BlockId>(victims.begin(), victims.begin() + n));
    }
    evictor.reset();
    ASSERT_TRUE(evictor.victims(kBlocks).empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, EveryPolicy, testing::ValuesIn(policy_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace headwater::cache
