#include "schedule/prefill_speed.h"

#include <gtest/gtest.h>

namespace headwater::schedule {
namespace {

StepResult step_of(std::uint32_t rows) {
  StepResult step;
  step.rows = rows;
  step.duration = TimeNs{rows} * 1'000'000;
  step.entries.resize(1);
  return step;
}

TEST(PrefillSpeed, IsThatOfStepsWithManyRows) {
  PrefillSpeed speed;
  EXPECT_EQ(speed.tokens_per_second(), 0);
  speed.add(step_of(8));
  EXPECT_EQ(speed.tokens_per_second(), 0);
  speed.add(step_of(100));
  EXPECT_NEAR(speed.tokens_per_second(), 1000, 1e-6);
}

TEST(PrefillSpeed, IsNotThatOfManyGuesses) {
  PrefillSpeed speed;
  StepResult step = step_of(72);
  step.entries[0].drafted = 8;
  speed.add(step);
  EXPECT_EQ(speed.tokens_per_second(), 0);
}

}  // namespace
}  // namespace headwater::schedule
