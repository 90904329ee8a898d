#include "kernels/logit_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/kernels/values.h"

namespace headwater::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class LogitBlocks : public cpu::EveryTarget {};

TEST_P(LogitBlocks, FindsTheHighestOfEach) {
  for (std::size_t n : {0U, 1U, 2U, 7U}) {
    std::vector<float> logits = cpu::random_values(n * kLogitBlock, 3);
    if (n > 1) std::fill_n(logits.begin() + kLogitBlock, kLogitBlock, -kInfinity);
    std::vector<float> best(n + 1, 42);
    EXPECT_TRUE(best_of_blocks(logits.data(), n, best.data()));
    for (std::size_t block = 0; block < n; ++block) {
      const auto first = logits.begin() + static_cast<std::ptrdiff_t>(block * kLogitBlock);
      EXPECT_EQ(best[block], *std::max_element(first, first + kLogitBlock));
    }
    EXPECT_EQ(best[n], 42);
  }
}

TEST_P(LogitBlocks, NoticesWhatIsNoLogitAtAnyPlace) {
  for (float bad : {kInfinity, std::nanf("")}) {
    for (std::size_t place = 0; place < 2 * kLogitBlock; ++place) {
      std::vector<float> logits = cpu::random_values(2 * kLogitBlock, 5);
      logits[place] = bad;
      std::vector<float> best(2);
      EXPECT_FALSE(best_of_blocks(logits.data(), 2, best.data())) << bad << " at " << place;
    }
  }
}

TEST_P(LogitBlocks, SumsExponentialsInTheSameOrderForEveryNumberOfBlocks) {
  constexpr std::size_t kBlocks = 5;
  std::vector<float> logits = cpu::random_values(kBlocks * kLogitBlock, 7);
  for (float& logit : logits) logit *= 30;
  logits[3] = -kInfinity;
  const float best = *std::max_element(logits.begin(), logits.end());
  for (float scale : {0.01F, 1.0F, 1e4F}) {
    std::vector<float> sums(kBlocks);
    sums_of_blocks(logits.data(), kBlocks, best, scale, sums.data());
    for (std::size_t block = 0; block < kBlocks; ++block) {
      double expected = 0;
      for (std::size_t i = block * kLogitBlock; i < (block + 1) * kLogitBlock; ++i) {
        expected += std::exp(std::max((double{logits[i]} - best) * scale, -126 * std::log(2.0)));
      }
      EXPECT_NEAR(sums[block] / expected, 1, 1e-5) << scale;
      float alone = 0;
      sums_of_blocks(logits.data() + block * kLogitBlock, 1, best, scale, &alone);
      EXPECT_EQ(alone, sums[block]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, LogitBlocks, testing::ValuesIn(cpu::highway_targets()),
                         [](const auto& test) { return std::string(hwy::TargetName(test.param)); });

}  // namespace
}  // namespace headwater::kernels
