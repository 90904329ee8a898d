#include "tools/cachesim/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

#include "cache/lru_guard.h"
#include "tools/cachesim/judge.h"

namespace headwater::cachesim {
namespace {

/// All families at all sizes, which takes some minutes; otherwise each at one.
bool whole() { return std::getenv("HEADWATER_TEST_ALL") != nullptr; }

TEST(Families, AreManyAndHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const Family& family : families()) names.insert(family.name);
  EXPECT_EQ(names.size(), families().size());
  EXPECT_GE(names.size(), 30U);
}

TEST(Families, AreTheSameForASeedAndOthersForAnother) {
  for (const Family& family : families()) {
    const Trace one = family.make(1), again = family.make(1), other = family.make(2);
    ASSERT_EQ(one.requests.size(), again.requests.size());
    for (std::size_t r = 0; r < one.requests.size(); ++r) ASSERT_EQ(one.requests[r].blocks, again.requests[r].blocks);
    const auto blocks = [](const TraceRequest& request) { return request.blocks; };
    if (std::string(family.name) != "loop" && std::string(family.name) != "two_loops") {
      EXPECT_FALSE(std::ranges::equal(one.requests, other.requests, {}, blocks, blocks)) << family.name;
    }
  }
}

// A block's number stands for all before it, too.
TEST(Families, GiveABlockOnePlaceInOneChain) {
  for (const Family& family : families()) {
    const Trace trace = family.make(2);
    std::vector<TokenId> parents(trace.distinct_blocks, -2);
    std::uint64_t total = 0;
    for (const TraceRequest& request : trace.requests) {
      TokenId parent = -1;
      total += request.blocks.size();
      for (const TokenId block : request.blocks) {
        ASSERT_LT(static_cast<std::uint32_t>(block), trace.distinct_blocks) << family.name;
        TokenId& known = parents[static_cast<std::size_t>(block)];
        if (known == -2) known = parent;
        ASSERT_EQ(known, parent) << family.name;
        parent = block;
      }
    }
    EXPECT_EQ(total, trace.total_blocks) << family.name;
  }
}

TEST(Families, AdaptiveIsNeverMuchBelowLruAndBetterOnAverageThanTheBestThatIsSimple) {
  double advantage = 0;
  std::size_t judged = 0;
  for (std::size_t f = 0; f < families().size(); ++f) {
    const Family& family = families()[f];
    const Trace trace = family.make(kJudgeSeed);
    for (std::size_t s = 0; s < std::size(kJudgedSizes); ++s) {
      if (!whole() && s != f % std::size(kJudgedSizes)) continue;
      const Verdict verdict = judge(trace, kJudgedSizes[s]);
      const double blocks = static_cast<double>(trace.total_blocks);
      EXPECT_GE(verdict.adaptive * blocks,
                0.99 * verdict.lru * blocks - 1 - cache::LruGuard::kAdvance * verdict.capacity)
          << family.name << " at " << kJudgedSizes[s] << ", lru " << verdict.lru;
      advantage += verdict.advantage();
      ++judged;
    }
  }
  EXPECT_GT(advantage, 0.005 * static_cast<double>(judged)) << "over " << judged << " of them";
}

}  // namespace
}  // namespace headwater::cachesim
