#include "schedule/tenant_credit.h"

#include <gtest/gtest.h>

namespace headwater::schedule {
namespace {

using Answer = TenantCredit::Answer;

int take_all(TenantCredit& credit, const std::string& tenant, TimeNs now = 1) {
  int taken = 0;
  while (credit.take(tenant, now) == Answer::taken) ++taken;
  return taken;
}

TEST(TenantCredit, LeavesAllToATenantThatIsAlone) {
  TenantCredit credit(100);
  EXPECT_EQ(take_all(credit, "a"), 100);
  EXPECT_EQ(credit.take("a", 1), Answer::none_left);
  credit.give_back("a");
  EXPECT_EQ(credit.take("a", 1), Answer::taken);
}

TEST(TenantCredit, KeepsSomeForOthersOnceTheyAreAbout) {
  TenantCredit credit(100);
  EXPECT_EQ(take_all(credit, "flood"), 100);
  EXPECT_EQ(credit.take("light", 1), Answer::none_left) << "nothing is taken back";
  // What ends goes to whoever has less than its share.
  for (int i = 0; i < 13; ++i) credit.give_back("flood");
  EXPECT_EQ(take_all(credit, "flood"), 1);
  EXPECT_EQ(credit.take("flood", 1), Answer::share_used);
  EXPECT_EQ(take_all(credit, "light"), 12);
}

TEST(TenantCredit, LetsWhoeverHasLessThanItsShareTakeTheLast) {
  TenantCredit credit(4);
  EXPECT_EQ(credit.take("a", 1), Answer::taken);
  EXPECT_EQ(credit.take("b", 1), Answer::taken);
  EXPECT_EQ(take_all(credit, "a"), 1);
  EXPECT_EQ(credit.take("a", 1), Answer::share_used);
  EXPECT_EQ(take_all(credit, "b"), 1);
  EXPECT_EQ(credit.taken(), 4U);
}

TEST(TenantCredit, ForgetsThoseWhoHaveGone) {
  TenantCredit credit(10);
  EXPECT_EQ(credit.take("gone", 1), Answer::taken);
  credit.give_back("gone");
  const TimeNs later = 2 * TenantCredit::kAbout;
  EXPECT_EQ(take_all(credit, "a", later), 10);
}

}  // namespace
}  // namespace headwater::schedule
