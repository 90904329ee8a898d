#include "cache/reuse_model.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

TEST(ReuseModel, PrefersWhatWasUsedLatelyWhileItKnowsNothing) {
  const ReuseModel model(2, 640);
  for (std::uint64_t age = 0; age < 20000; age += 100) {
    EXPECT_GE(model.worth(0, age), model.worth(0, age + 100));
    EXPECT_DOUBLE_EQ(model.worth(0, age), model.worth(1, age));
  }
}

TEST(ReuseModel, LearnsWhichClassIsUsedAgain) {
  ReuseModel model(2, 640);
  for (int i = 0; i < 100; ++i) {
    model.reused(0, 200);
    model.watched(0, 0, 200);
    model.watched(1, 0, 2000);
  }
  model.learn(1);
  EXPECT_GT(model.worth(0, 0), 5 * model.worth(1, 0));
}

TEST(ReuseModel, PrefersABlockWhoseTimeIsNear) {
  ReuseModel model(1, 640);
  for (int i = 0; i < 1000; ++i) {
    model.reused(0, 1000);
    model.watched(0, 0, 1000);
  }
  model.learn(1);
  EXPECT_GT(model.worth(0, 900), 2 * model.worth(0, 0));
  EXPECT_LT(model.worth(0, 5000), model.worth(0, 900));
}

TEST(ReuseModel, TakesBackWhatWasToldTooMuch) {
  ReuseModel once(1, 640), twice(1, 640);
  once.watched(0, 0, 500);
  twice.watched(0, 0, 3000);
  twice.watched(0, 3000, 500);
  once.learn(1);
  twice.learn(1);
  EXPECT_NEAR(once.worth(0, 100), twice.worth(0, 100), 1e-12);
}

TEST(ReuseModel, ForgetsAtAReset) {
  ReuseModel model(1, 640);
  const double before = model.worth(0, 10);
  for (int i = 0; i < 100; ++i) model.reused(0, 10);
  model.learn(1);
  EXPECT_GT(model.worth(0, 10), before);
  model.reset();
  EXPECT_DOUBLE_EQ(model.worth(0, 10), before);
}

}  // namespace
}  // namespace headwater::cache
