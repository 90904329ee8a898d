#include "cache/policy_curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/sample.h"
#include "tools/cachesim/families.h"
#include "tools/cachesim/judge.h"

namespace headwater::cachesim {
namespace {

/// How far what an advisor says is off, over all the sizes that it speaks of.
struct Errors {
  double sum = 0, most = 0;
  std::size_t compared = 0;
};

constexpr double kMostError = 0.06, kMostMeanError = 0.015;

/// Of a cache for a twentieth of the trace's blocks, by a sample of a third of them; a quarter of what the server has.
void compare(const Trace& trace, const std::string& policy, Errors& errors, const std::string& what) {
  const auto capacity = trace.distinct_blocks / 20;
  cache::PolicyCurve curve(policy, capacity, std::max(capacity / 3, cache::PolicyCurve::kMostBlocks / 4));
  for (const TraceRequest& request : trace.requests) {
    std::vector<std::uint64_t> keys;
    for (const TokenId block : request.blocks) keys.push_back(key_of(block));
    curve.look_up(keys);
  }
  for (std::size_t i = 0; i < cache::MissCurve::kFactors.size(); ++i) {
    const auto blocks = static_cast<std::uint32_t>(std::lround(cache::MissCurve::kFactors[i] * capacity));
    if (blocks > trace.distinct_blocks) continue;
    const double error = std::abs(curve.hit_rate(i) - hit_rate(trace, policy, blocks));
    if (error > kMostError)
      ADD_FAILURE() << what << ", " << policy << " with " << blocks << " blocks: off by " << error;
    errors.sum += error;
    errors.most = std::max(errors.most, error);
    ++errors.compared;
  }
}

TEST(PolicyCurve, SaysOfMadeTracesWhatThatPolicyHitsAtEachSize) {
  Errors errors;
  for (std::size_t f = 0; f < families().size(); f += test::sampled(16, 1)) {
    const Trace trace = families()[f].make(kJudgeSeed);
    compare(trace, "adaptive", errors, families()[f].name);
  }
  EXPECT_LT(errors.sum / static_cast<double>(errors.compared), kMostMeanError)
      << errors.compared << ", at most " << errors.most;
}

}  // namespace
}  // namespace headwater::cachesim
