#include "cache/frequency_sketch.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

TEST(FrequencySketch, CountsUsesUpToItsMost) {
  FrequencySketch sketch(100);
  EXPECT_EQ(sketch.estimate(7), 0U);
  for (std::uint32_t i = 1; i <= 20; ++i) {
    sketch.add(7);
    EXPECT_EQ(sketch.estimate(7), std::min(i, FrequencySketch::kMost));
  }
  sketch.clear();
  EXPECT_EQ(sketch.estimate(7), 0U);
}

TEST(FrequencySketch, IsRarelyWrongOfTenTimesAsManyKeysAsBlocks) {
  constexpr std::uint64_t kBlocks = 1000;
  FrequencySketch sketch(kBlocks);
  for (std::uint64_t key = 0; key < 10 * kBlocks; ++key) sketch.add(key);
  for (std::uint64_t key = 0; key < kBlocks; ++key) sketch.add(key);
  int wrong = 0;
  for (std::uint64_t key = 0; key < 10 * kBlocks; ++key) {
    const std::uint32_t uses = key < kBlocks ? 2 : 1;
    EXPECT_GE(sketch.estimate(key), uses);
    if (sketch.estimate(key) > uses) ++wrong;
  }
  EXPECT_LT(wrong, 400);
}

TEST(FrequencySketch, LetsOldUsesFade) {
  FrequencySketch sketch(10);
  for (int i = 0; i < 12; ++i) sketch.add(1);
  for (std::uint64_t key = 100; key < 1000; ++key) sketch.add(key);
  EXPECT_LT(sketch.estimate(1), 12U);
}

}  // namespace
}  // namespace headwater::cache
