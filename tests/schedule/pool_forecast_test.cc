#include "schedule/pool_forecast.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace headwater::schedule {
namespace {

/// One that has decoded up to `tokens` and generates `rest` more for certain.
Stay certain(std::uint32_t tokens, std::uint32_t rest, const kernels::BlockGrid& grid) {
  return {.tokens = tokens,
          .most_tokens = tokens + rest - 1,
          .blocks = grid.covering(tokens),
          .rest = RestOfAnswer::certain(rest)};
}

PoolShape pool_of(std::uint32_t blocks, const kernels::BlockGrid& grid) {
  return {.grid = grid, .total_blocks = blocks, .window = {}, .prefill_chunk = 8};
}

bool lasts(const std::vector<Stay>& stays, std::uint32_t blocks, const kernels::BlockGrid& grid) {
  return room_lasts(stays, pool_of(blocks, grid));
}

/// The most blocks that they have in any step, step by step.
std::uint32_t true_peak(const std::vector<Stay>& stays, const kernels::BlockGrid& grid) {
  std::uint32_t peak = 0;
  for (std::uint32_t step = 1;; ++step) {
    std::uint32_t sum = 0;
    bool any = false;
    for (const Stay& stay : stays) {
      const std::uint32_t generated = step > stay.delay ? step - stay.delay - 1 : 0;
      if (generated >= stay.rest.quantile(1)) continue;
      any = true;
      sum += std::max(grid.covering(stay.tokens + generated), stay.blocks) - stay.shared;
    }
    if (!any) return peak;
    peak = std::max(peak, sum);
  }
}

TEST(PoolForecast, SeesThePeakBeforeTheFirstOfTwoEnds) {
  const std::vector<Stay> two = {certain(4, 8, 4), certain(8, 40, 4)};
  // When the first computes its last, 11 tokens, the other has 15. Alone it gets to 47.
  EXPECT_TRUE(lasts(two, 12, 4));
  EXPECT_FALSE(lasts(two, 11, 4));
  const std::vector<Stay> beside = {certain(4, 8, 4), certain(8, 8, 4)};
  EXPECT_TRUE(lasts(beside, 3 + 4, 4));
  EXPECT_FALSE(lasts(beside, 3 + 4 - 1, 4));
}

TEST(PoolForecast, FindsTheTruePeakOfAnswersWhoseEndsAreKnown) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const kernels::BlockGrid grid(4, random() % 3);  // the first block may hold fewer tokens
    std::vector<Stay> stays;
    for (std::uint32_t i = 1 + random() % 12; i > 0; --i) {
      stays.push_back(certain(1 + random() % 60, 1 + random() % 60, grid));
      Stay& stay = stays.back();
      if (random() % 3 == 0) stay.delay = random() % 20;
      if (random() % 3 == 0) stay.blocks = random() % (stay.blocks + 1);
      stay.shared = random() % (stay.blocks + 1);
    }
    const std::uint32_t peak = true_peak(stays, grid);
    EXPECT_TRUE(lasts(stays, peak, grid));
    if (peak > 0) {
      EXPECT_FALSE(lasts(stays, peak - 1, grid));
    }
  }
}

TEST(PoolForecast, NeverFindsRoomThatIsNotThereAmongMany) {
  std::mt19937 random(4);
  for (int round = 0; round < 20; ++round) {
    std::vector<Stay> stays;
    stays.reserve(300);
    for (int i = 0; i < 300; ++i) stays.push_back(certain(1 + random() % 900, 1 + random() % 900, 32));
    const std::uint32_t peak = true_peak(stays, 32);
    EXPECT_FALSE(lasts(stays, peak - 1, 32));
    EXPECT_TRUE(lasts(stays, peak + peak / 10, 32));
  }
}

TEST(PoolForecast, CountsABlockThatIsSharedOnce) {
  Stay one = certain(20, 5, 4);
  Stay other = certain(20, 5, 4);
  EXPECT_FALSE(lasts({one, other}, 11, 4));
  other.shared = 4;
  EXPECT_TRUE(lasts({one, other}, 6 + 2, 4));
  EXPECT_FALSE(lasts({one, other}, 6 + 1, 4));
}

TEST(PoolForecast, KeepsWhatIsLikelyAndSomeMoreOfAnswersThatMayEndAtAnyTime) {
  LengthGuess guess;
  AdmittedRequest request;
  request.max_new_tokens = 1000;
  request.request.params.max_tokens = 1000;
  std::mt19937 random(5);
  std::lognormal_distribution<double> length(std::log(200.0), 0.6);
  const auto draw = [&] { return static_cast<std::uint32_t>(std::clamp(length(random), 1.0, 999.0)); };
  for (int i = 0; i < 64; ++i) guess.ended(request, draw());
  std::vector<Stay> stays(24);
  for (Stay& stay : stays) {
    stay = {.tokens = 40, .most_tokens = 1039, .blocks = 2, .rest = guess.rest(request, 0)};
  }
  std::uint32_t enough = 1;
  while (!lasts(stays, enough, 32)) ++enough;
  // What they truly come to need.
  std::vector<std::uint32_t> peaks;
  for (int round = 0; round < 200; ++round) {
    std::vector<Stay> real;
    for (std::size_t i = 0; i < stays.size(); ++i) real.push_back(certain(40, draw(), 32));
    peaks.push_back(true_peak(real, 32));
  }
  std::ranges::sort(peaks);
  EXPECT_GE(enough, peaks[100]) << "more often enough than not";
  EXPECT_LE(enough, 3 * peaks[100] / 2);
  EXPECT_LT(enough, 24U * 33 / 2) << "far from what all of them may come to need";
}

TEST(PoolForecast, NeverAsksForMoreThanAllOfThemMayTake) {
  LengthGuess guess;
  AdmittedRequest request;
  request.max_new_tokens = 100;
  request.request.params.max_tokens = 100;
  for (std::uint32_t i = 0; i < 64; ++i) guess.ended(request, i % 10 == 0 ? 1 : 100);
  for (std::size_t n = 1; n < 6; ++n) {
    const Stay stay = {.tokens = 10, .most_tokens = 109, .blocks = 3, .rest = guess.rest(request, 0)};
    const std::vector<Stay> stays(n, stay);
    const auto most = static_cast<std::uint32_t>(n * 28);
    EXPECT_TRUE(lasts(stays, most, 4));
    EXPECT_TRUE(room_for_the_longest(stays, pool_of(most, 4)));
    EXPECT_FALSE(room_for_the_longest(stays, pool_of(most - 1, 4)));
  }
}

TEST(PoolForecast, CountsPromptsThatAreOnlyScored) {
  const Stay scored = {.tokens = 40, .most_tokens = 40, .blocks = 0, .delay = 3, .rest = RestOfAnswer::certain(0)};
  EXPECT_TRUE(lasts({scored}, 10, 4));
  EXPECT_FALSE(lasts({scored}, 9, 4));
}

TEST(PoolForecast, CountsOfLayersWithAWindowWhatTheySee) {
  // 10 blocks of all layers, of which those with a window see two or three.
  const Stay stay = certain(40, 1, 4);
  PoolShape pool = pool_of(1000, 4);
  pool.window = {.tokens = 8, .full_bytes = 1, .window_bytes = 100, .pool_bytes = 10 + 300};
  EXPECT_TRUE(room_lasts(std::vector<Stay>{stay}, pool));
  pool.window.pool_bytes = 10 + 100;
  EXPECT_FALSE(room_lasts(std::vector<Stay>{stay}, pool));
}

}  // namespace
}  // namespace headwater::schedule
