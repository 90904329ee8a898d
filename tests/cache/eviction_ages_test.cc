#include "cache/eviction_ages.h"

#include <gtest/gtest.h>

#include <numeric>

namespace headwater::cache {
namespace {

using Kind = Touch::Kind;

constexpr TimeNs kSecond = 1'000'000'000;

TEST(EvictionAges, CountFromTheLastUseOfABlock) {
  EvictionAges ages(4);
  ages.on_touches(std::vector<Touch>{{Kind::published, 1}, {Kind::idle, 1}, {Kind::published, 2}}, kSecond);
  ages.on_touches(std::vector<Touch>{{Kind::idle, 2}}, 5 * kSecond);
  ages.on_touches(std::vector<Touch>{{Kind::busy, 1}, {Kind::idle, 1}}, 7 * kSecond);
  EXPECT_EQ(std::accumulate(ages.seconds().counts().begin(), ages.seconds().counts().end(), 0U), 0U);
  ages.on_touches(std::vector<Touch>{{Kind::forgotten, 1}, {Kind::forgotten, 2}}, 10 * kSecond);
  EXPECT_EQ(ages.seconds().sum(), 3 + 5);
  EXPECT_EQ(ages.seconds().counts(), (std::vector<std::uint64_t>{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(EvictionAges, PutEachAgeIntoItsBucket) {
  EvictionAges ages(1);
  for (const TimeNs age : {TimeNs{0}, kSecond, kSecond + 1, 200'000 * kSecond}) {
    ages.on_touches(std::vector<Touch>{{Kind::idle, 0}}, kSecond);
    ages.on_touches(std::vector<Touch>{{Kind::forgotten, 0}}, kSecond + age);
  }
  EXPECT_EQ(ages.seconds().counts(), (std::vector<std::uint64_t>{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1}));
}

}  // namespace
}  // namespace headwater::cache
