#include "actors/admission.h"

#include <gtest/gtest.h>

namespace headwater::actors {
namespace {

using Kind = TokenEvent::Kind;

TEST(Admission, GivesCreditUpToItsLimitAndTakesItBack) {
  Admission admission(2);
  EXPECT_EQ(*admission.enter(), 0U);
  EXPECT_EQ(*admission.enter(), 1U);
  const auto refused = admission.enter();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
  admission.leave(Kind::finished, false);
  EXPECT_TRUE(admission.enter().ok());
  Stats stats;
  admission.report(stats);
  EXPECT_EQ(stats.accepted, 3U);
  EXPECT_EQ(stats.rejected, 1U);
  EXPECT_EQ(stats.finished, 1U);
  EXPECT_EQ(stats.in_flight, 2U);
}

TEST(Admission, CountsOnlyRequestsWithoutATokenAsInFront) {
  Admission admission(10);
  EXPECT_EQ(*admission.enter(), 0U);
  admission.first_token();
  EXPECT_EQ(*admission.enter(), 0U);
  EXPECT_EQ(*admission.enter(), 1U);
  admission.leave(Kind::cancelled, false);
  EXPECT_EQ(*admission.enter(), 1U);
}

TEST(Admission, AcceptsNothingWhileDrainingOrBroken) {
  Admission draining(10);
  draining.drain();
  EXPECT_EQ(draining.enter().error().code, ErrorCode::draining);
  Admission broken(10);
  broken.break_down("the executor keeps failing");
  EXPECT_EQ(broken.enter().error().code, ErrorCode::unavailable);
  EXPECT_TRUE(broken.draining());
}

TEST(Admission, IsIdleOnlyWhenEveryClientKnowsOfTheEnd) {
  Admission admission(10);
  EXPECT_TRUE(admission.wait_idle(std::chrono::milliseconds(0)));
  EXPECT_TRUE(admission.enter().ok());
  admission.leave(Kind::finished, false);
  EXPECT_FALSE(admission.wait_idle(std::chrono::milliseconds(0)));
  admission.delivered();
  EXPECT_TRUE(admission.wait_idle(std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace headwater::actors
