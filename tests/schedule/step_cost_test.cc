#include "schedule/step_cost.h"

#include <gtest/gtest.h>

#include <random>

namespace headwater::schedule {
namespace {

double true_seconds(double decode, double prefill) { return 0.01 + 0.001 * decode + 0.0004 * prefill; }

TEST(StepCost, KnowsNothingBeforeTheFirstStep) {
  StepCost cost;
  EXPECT_FALSE(cost.known());
  EXPECT_EQ(cost.seconds(8, 100), 0);
  cost.add(0, 0, 1);  // computed nothing
  cost.add(1, 0, 0);
  EXPECT_FALSE(cost.known());
  cost.add(1, 0, 0.01);
  EXPECT_TRUE(cost.known());
}

TEST(StepCost, IsHardlyMovedByAStepThatSomethingElseHeldUp) {
  StepCost cost;
  for (int i = 0; i < 200; ++i)
    cost.add(1 + i % 8, i % 4 == 0 ? 100 : 0, true_seconds(1 + i % 8, i % 4 == 0 ? 100 : 0));
  cost.add(3, 0, 9);
  EXPECT_NEAR(cost.seconds(8, 0) / true_seconds(8, 0), 1, 0.1);
  EXPECT_NEAR(cost.seconds(0, 200) / true_seconds(0, 200), 1, 0.1);
}

TEST(StepCost, LearnsWhatAKindOfStepTakesThatComesLate) {
  StepCost cost;
  for (int i = 0; i < 100; ++i) cost.add(1, 0, 0.002);
  for (int i = 0; i < 30; ++i) cost.add(0, 256, 0.1);
  EXPECT_NEAR(cost.seconds(0, 256), 0.1, 0.05);
}

TEST(StepCost, FindsTheCostsOfStepsOfAllKinds) {
  StepCost cost;
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    const double decode = random() % 48, prefill = i % 3 == 0 ? random() % 200 : 0;
    const double noise = 0.9 + 0.2 * (random() % 1000) / 1000;
    cost.add(decode, prefill, true_seconds(decode, prefill) * noise);
  }
  for (const auto& [decode, prefill] : {std::pair{1.0, 0.0}, {48.0, 0.0}, {0.0, 256.0}, {20.0, 208.0}}) {
    EXPECT_NEAR(cost.seconds(decode, prefill) / true_seconds(decode, prefill), 1, 0.1) << decode << " " << prefill;
  }
}

TEST(StepCost, FollowsAMachineThatBecomesSlower) {
  StepCost cost;
  for (int i = 0; i < 1000; ++i) cost.add(1 + i % 8, 0, true_seconds(1 + i % 8, 0));
  for (int i = 0; i < 1000; ++i) cost.add(1 + i % 8, 0, 3 * true_seconds(1 + i % 8, 0));
  EXPECT_NEAR(cost.seconds(4, 0), 3 * true_seconds(4, 0), 0.003);
}

TEST(StepCost, KeepsWhatItKnewOfPromptsWhileOnlyOneKindOfStepIsSeen) {
  StepCost cost;
  for (int i = 0; i < 300; ++i) cost.add(i % 8, i % 2 * 100, true_seconds(i % 8, i % 2 * 100));
  const double before = cost.seconds(0, 200);
  for (int i = 0; i < 2000; ++i) cost.add(8, 0, true_seconds(8, 0));
  EXPECT_NEAR(cost.seconds(8, 0), true_seconds(8, 0), 1e-4);
  EXPECT_NEAR(cost.seconds(0, 200) / before, 1, 0.2);
}

TEST(StepCost, IsNeverLessForMoreRows) {
  StepCost cost;
  // Larger steps that were quicker: a machine that was busy with something else.
  for (int i = 0; i < 50; ++i) cost.add(1, 0, 0.1);
  for (int i = 0; i < 50; ++i) cost.add(40, 0, 0.02);
  EXPECT_GT(cost.seconds(1, 0), 0);
  EXPECT_GE(cost.seconds(48, 0), cost.seconds(1, 0));
  EXPECT_GE(cost.seconds(1, 100), cost.seconds(1, 0));
}

}  // namespace
}  // namespace headwater::schedule
