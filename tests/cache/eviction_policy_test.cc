#include "cache/eviction_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cache/eviction.h"

namespace headwater::cache {
namespace {

using Kind = Touch::Kind;

TEST(EvictionPolicies, AreRefusedByAnUnknownNameWithTheKnownOnes) {
  const auto policy = make_policy("mru", 4);
  ASSERT_FALSE(policy);
  EXPECT_THAT(policy.error().message, testing::HasSubstr("\"mru\" (known: lru, fifo, lfu, adaptive)"));
}

/// Blocks without parents, used one after the other.
class Blocks {
 public:
  Blocks(std::string_view policy, std::uint32_t total) : evictor_(make_policy(policy, total).value(), total) {}

  void publish(BlockId block, std::uint64_t key) {
    ++now_;
    tell({Kind::published, block, -1, 0, key});
    tell({Kind::idle, block});
  }
  void use(BlockId block) {
    ++now_;
    tell({Kind::busy, block});
    tell({Kind::idle, block});
  }
  void forget(BlockId block) { tell({Kind::forgotten, block}); }
  BlockId victim() const { return evictor_.victims(1).at(0); }

 private:
  void tell(const Touch& touch) { evictor_.on_touches({&touch, 1}, now_); }

  Evictor evictor_;
  TimeNs now_ = 0;
};

/// The first victim of three blocks: 0 is the oldest, 1 was used once long ago, 2 is young and was used twice.
BlockId victim_of(std::string_view policy) {
  Blocks blocks(policy, 3);
  for (BlockId block = 0; block < 3; ++block) blocks.publish(block, static_cast<std::uint64_t>(block));
  blocks.use(2);
  blocks.use(2);
  for (int i = 0; i < 3; ++i) blocks.use(0);
  blocks.use(1);
  blocks.use(2);
  return blocks.victim();
}

TEST(EvictionPolicies, DifferInWhatTheyGiveUp) {
  EXPECT_EQ(victim_of("fifo"), 0);  // published first
  EXPECT_EQ(victim_of("lru"), 0);   // used longest ago
  EXPECT_EQ(victim_of("lfu"), 1);   // used least
}

TEST(EvictionPolicies, FifoForgetsUses) {
  Blocks fifo("fifo", 2), lru("lru", 2);
  for (Blocks* blocks : {&fifo, &lru}) {
    blocks->publish(0, 10);
    blocks->publish(1, 11);
    blocks->use(0);
  }
  EXPECT_EQ(fifo.victim(), 0);
  EXPECT_EQ(lru.victim(), 1);
}

/// 40 keys return every 800 uses; the others never do. The share of their returns that found them cached.
double kept(std::string_view policy) {
  constexpr BlockId kTotal = 200;
  Blocks blocks(policy, kTotal);
  std::vector<std::uint64_t> cached(kTotal, UINT64_MAX);
  std::uint64_t next = 1000;
  int hits = 0, returns = 0;
  const auto want = [&](std::uint64_t key) {
    const auto found = std::find(cached.begin(), cached.end(), key);
    if (found != cached.end()) {
      blocks.use(static_cast<BlockId>(found - cached.begin()));
      return true;
    }
    const auto free = std::find(cached.begin(), cached.end(), UINT64_MAX);
    const BlockId block = free != cached.end() ? static_cast<BlockId>(free - cached.begin()) : blocks.victim();
    if (free == cached.end()) blocks.forget(block);
    cached[static_cast<std::size_t>(block)] = key;
    blocks.publish(block, key);
    return false;
  };
  for (std::uint64_t i = 0; i < 40000; ++i) {
    const bool returning = i % 20 == 0;
    const bool hit = want(returning ? i / 20 % 40 : next++);
    if (!returning || i < 20000) continue;
    ++returns;
    hits += hit ? 1 : 0;
  }
  return static_cast<double>(hits) / returns;
}

TEST(EvictionPolicies, OnlyAdaptiveLearnsWhatReturnsAfterItWasGivenUp) {
  EXPECT_EQ(kept("lru"), 0);
  EXPECT_EQ(kept("fifo"), 0);
  EXPECT_EQ(kept("lfu"), 0);
  EXPECT_GT(kept("adaptive"), 0.5);
}

}  // namespace
}  // namespace headwater::cache
