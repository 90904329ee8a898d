#include "schedule/guess_cost.h"

#include <gtest/gtest.h>

namespace headwater::schedule {
namespace {

/// A step of `sequences`, the first of which has guesses checked.
StepResult step(std::uint32_t sequences, std::uint32_t guesses, std::int64_t duration) {
  StepResult result;
  result.entries.resize(sequences);
  result.entries[0].drafted = guesses;
  result.rows = sequences + guesses;
  result.duration = duration;
  return result;
}

TEST(GuessCost, IsACarefulOneUntilStepsTell) {
  const GuessCost cost;
  EXPECT_NEAR(cost.worth(1), 0.375, 1e-9);
  for (std::size_t n = 2; n <= GuessCost::kMostSequences; ++n) EXPECT_GT(cost.worth(n), cost.worth(n - 1));
  EXPECT_LT(cost.worth(GuessCost::kMostSequences), 1);
}

TEST(GuessCost, BecomesWhatARowTakes) {
  for (const double share : {0.05, 0.3, 0.55}) {
    GuessCost cost;
    for (int i = 0; i < 200; ++i) {
      cost.add(step(1, 0, 1000));
      cost.add(step(1, 4, static_cast<std::int64_t>(1000 * (1 + 4 * share))));
    }
    EXPECT_NEAR(cost.worth(1), share, 0.01);
    EXPECT_EQ(cost.worth(2), GuessCost().worth(2)) << "of two sequences nothing was seen";
  }
}

TEST(GuessCost, CountsForAllSequencesOfAStep) {
  GuessCost cost;
  for (int i = 0; i < 200; ++i) {
    cost.add(step(4, 0, 1000));
    cost.add(step(4, 3, 1300));
  }
  EXPECT_NEAR(cost.worth(4), 0.4, 0.01);
}

TEST(GuessCost, StaysAChanceWhateverSteps) {
  GuessCost cost;
  cost.add(step(8, 0, 1000));
  for (int i = 0; i < 500; ++i) cost.add(step(8, 1, 1'000'000));
  EXPECT_LE(cost.worth(8), 1);
  for (int i = 0; i < 500; ++i) cost.add(step(8, 1, 1));  // faster than without
  EXPECT_GT(cost.worth(8), 0);
}

TEST(GuessCost, LearnsNothingFromOtherSteps) {
  GuessCost cost;
  const auto unchanged = [&] { return cost.worth(1) == GuessCost().worth(1); };
  cost.add(StepResult{});
  cost.add(step(1, 4, 5000));  // nothing to hold it against
  EXPECT_TRUE(unchanged());
  cost.add(step(1, 0, 1000));
  StepResult with_prompt = step(1, 4, 5000);
  with_prompt.rows += 100;
  cost.add(with_prompt);
  StepResult untimed = step(1, 4, 0);
  cost.add(untimed);
  cost.add(step(GuessCost::kMostSequences + 1, 4, 5000));
  EXPECT_TRUE(unchanged());
  cost.add(step(1, 4, 5000));
  EXPECT_FALSE(unchanged());
}

}  // namespace
}  // namespace headwater::schedule
