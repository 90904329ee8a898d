#include "cache/reuse_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace headwater::cache {
namespace {

TEST(ReuseModel, PrefersWhatWasUsedLatelyWhileItKnowsNothing) {
  const ReuseModel model(2, 1, 640);
  for (std::uint64_t age = 0; age < 20000; age += 100) {
    EXPECT_GE(model.worth(0, age), model.worth(0, age + 100));
    EXPECT_DOUBLE_EQ(model.worth(0, age), model.worth(1, age));
  }
}

TEST(ReuseModel, LearnsWhichClassIsUsedAgain) {
  ReuseModel model(2, 1, 640);
  for (int i = 0; i < 100; ++i) {
    model.reused(0, 200);
    model.watched(0, 0, 200);
    model.watched(1, 0, 2000);
  }
  model.learn(1);
  EXPECT_GT(model.worth(0, 0), 5 * model.worth(1, 0));
}

TEST(ReuseModel, PrefersABlockWhoseTimeIsNear) {
  ReuseModel model(1, 1, 640);
  for (int i = 0; i < 1000; ++i) {
    model.reused(0, 1000);
    model.watched(0, 0, 1000);
  }
  model.learn(1);
  EXPECT_GT(model.worth(0, 900), 2 * model.worth(0, 0));
  EXPECT_LT(model.worth(0, 5000), model.worth(0, 900));
}

TEST(ReuseModel, TakesBackWhatWasToldTooMuch) {
  ReuseModel once(1, 1, 640), twice(1, 1, 640);
  once.watched(0, 0, 500);
  twice.watched(0, 0, 3000);
  twice.watched(0, 3000, 500);
  once.learn(1);
  twice.learn(1);
  EXPECT_NEAR(once.worth(0, 100), twice.worth(0, 100), 1e-12);
}

TEST(ReuseModel, CountsARunAsItsBlocks) {
  ReuseModel one_by_one(1, 1, 640), together(1, 1, 640);
  for (int i = 0; i < 7; ++i) one_by_one.watched(0, 100, 900);
  together.watched(0, 100, 900, 7);
  one_by_one.learn(1);
  together.learn(1);
  EXPECT_NEAR(one_by_one.worth(0, 300), together.worth(0, 300), 1e-12);
}

/// A kind of which nothing was seen yet is judged by its class and by its trait.
TEST(ReuseModel, KnowsATraitFromOtherClasses) {
  ReuseModel model(3, 2, 640);
  const auto see = [&model](std::uint32_t kind, int reused_of_10) {
    for (int i = 0; i < 1000; ++i) {
      const bool reused = i % 10 < reused_of_10;
      if (reused) model.reused(kind, 300 + static_cast<std::uint64_t>(i % 97) * 5);
      model.watched(kind, 0, reused ? 300 : 1000);
    }
  };
  see(0, 1);  // class 0: the second trait is used again far more often
  see(1, 9);
  see(2, 1);  // class 1: likewise
  see(3, 9);
  see(4, 1);  // class 2: only the first trait was seen
  model.learn(1);
  EXPECT_GT(model.worth(5, 0), 2 * model.worth(4, 0));
}

/// What differs by chance alone is not taken for a difference: of kinds with one hazard none ranks far before another,
/// though of 400 blocks of each some 120 return, give or take 9.
TEST(ReuseModel, TakesChanceForChance) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    std::mt19937 random(seed);
    ReuseModel model(8, 1, 640);
    for (std::uint32_t kind = 0; kind < 8; ++kind) {
      for (int i = 0; i < 400; ++i) {
        const std::uint64_t age = random() % 2000;
        if (random() % 10 < 3) model.reused(kind, age);
        model.watched(kind, 0, age);
      }
    }
    model.learn(1);
    std::vector<double> worths;
    for (std::uint32_t kind = 0; kind < 8; ++kind) worths.push_back(model.worth(kind, 100));
    const auto [least, most] = std::minmax_element(worths.begin(), worths.end());
    EXPECT_LT(*most, 1.1 * *least) << seed;
  }
}

TEST(ReuseModel, LetsWorthRiseToAPeakAndFallFromThere) {
  ReuseModel model(1, 1, 640);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const std::uint64_t age = i * i * 2654435761U % 8000;  // uneven, so that spans differ by chance
    if (i % 3 == 0) model.reused(0, age);
    model.watched(0, 0, age);
  }
  model.learn(1);
  bool falls = false;
  for (std::uint64_t age = 0; age < 30000; age += 10) {
    const double now = model.worth(0, age), next = model.worth(0, age + 10);
    if (next < now - 1e-12) falls = true;
    EXPECT_FALSE(falls && next > now + 1e-12) << age;
  }
  EXPECT_TRUE(falls);
}

TEST(ReuseModel, ForgetsAtAReset) {
  ReuseModel model(1, 1, 640);
  const double before = model.worth(0, 10);
  for (int i = 0; i < 100; ++i) model.reused(0, 10);
  model.learn(1);
  EXPECT_GT(model.worth(0, 10), before);
  model.reset();
  EXPECT_DOUBLE_EQ(model.worth(0, 10), before);
}

}  // namespace
}  // namespace headwater::cache
