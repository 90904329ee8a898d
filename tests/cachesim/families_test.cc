#include "tools/cachesim/families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "cache/lru_guard.h"
#include "tests/support/sample.h"
#include "tools/cachesim/judge.h"
#include "tools/cachesim/trace_parts.h"

namespace headwater::cachesim {
namespace {

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

/// Halves of even seeds, which no constant was chosen by. The sample takes each trace at one size.
TEST(Families, AdaptiveIsNeverMuchBelowLruAndBetterOnAverageThanTheBestThatIsSimple) {
  const std::vector<unsigned> seeds = test::sampled<std::vector<unsigned>>({kJudgeSeed}, {kJudgeSeed, 4});
  for (const unsigned seed : seeds) {
    Summary sum;
    std::vector<std::string> behind;
    for (std::size_t f = 0; f < families().size(); ++f) {
      const Trace trace = part_of(families()[f].make(seed), Part::second);
      for (std::size_t s = 0; s < std::size(kJudgedSizes); ++s) {
        if (!test::runs_all() && s != f % std::size(kJudgedSizes)) continue;
        const Verdict verdict = judge(trace, kJudgedSizes[s]);
        const std::string what = std::string(families()[f].name) + " at " + std::to_string(kJudgedSizes[s]);
        EXPECT_GE(verdict.above_law(), -1e-6) << what << ", seed " << seed;
        // Few fall further behind than what a beginning may cost.
        const double slack = 1 + cache::LruGuard::kAdvance * verdict.capacity;  // hits
        if (verdict.adaptive < 0.99 * verdict.lru - slack / static_cast<double>(verdict.blocks)) behind.push_back(what);
        sum.add(verdict);
      }
    }
    EXPECT_GE(sum.judged(), 30U);
    EXPECT_LE(behind.size(), sum.judged() / 40) << "seed " << seed << ": " << testing::PrintToString(behind);
    EXPECT_GT(sum.advantage(), test::sampled(0.0, 0.005)) << "seed " << seed << ", over " << sum.judged();
  }
}

}  // namespace
}  // namespace headwater::cachesim
