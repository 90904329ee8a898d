#include "actors/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::actors {
namespace {

using kernels::MemoryLimit;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

MemoryPlan plan(std::uint64_t cache) {
  return {.weights = 100 * kMiB, .cache = cache, .work = 50 * kMiB, .stacks = 80 * kMiB};
}

TEST(MemoryPlan, ThatFitsEveryLimitIsTaken) {
  EXPECT_TRUE(check_memory(plan(kGiB), {}).ok());
  EXPECT_TRUE(check_memory(plan(kGiB), {{"the machine", 4 * kGiB, 2 * kGiB}}).ok());
  EXPECT_TRUE(check_memory(plan(kGiB), {{"the machine", 4 * kGiB, kGiB + 150 * kMiB}}).ok());
}

TEST(MemoryPlan, ThatDoesNotFitSaysWhatItTakesWhoseLimitItIsAndWhatWouldFit) {
  const auto refused = check_memory(plan(64 * kGiB), {{"the machine", 23 * kGiB, 21 * kGiB}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "this topology takes 64.1 GiB of memory (weights 100 MiB, KV cache 64.0 GiB, computing 50 MiB), and the "
            "machine leaves 21.0 GiB of 23.0 GiB; --cache-size-limit 19GiB would fit");
  EXPECT_TRUE(check_memory(plan(19 * kGiB), {{"the machine", 23 * kGiB, 21 * kGiB}}).ok());
}

TEST(MemoryPlan, NamesTheLimitThatIsExceededMost) {
  const auto refused = check_memory(
      plan(kGiB), {{"the machine", 2 * kGiB, kGiB}, {"the control group /a (memory.max)", 700 * kMiB, 650 * kMiB}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("the control group /a (memory.max) leaves 650 MiB of 700 MiB"));
  EXPECT_THAT(refused.error().message, HasSubstr("--cache-size-limit 475MiB would fit"));
}

TEST(MemoryPlan, CountsStacksWhereAddressesAreLimited) {
  const std::vector<MemoryLimit> addresses = {{"ulimit -v", 300 * kMiB, 220 * kMiB, MemoryLimit::Counts::reserved}};
  EXPECT_THAT(check_memory(plan(64 * kMiB), addresses).error().message,
              testing::AllOf(HasSubstr("threads' stacks 80 MiB"), HasSubstr("ulimit -v leaves 220 MiB"),
                             HasSubstr("give it more memory, or take a smaller model")));
  EXPECT_TRUE(check_memory(plan(64 * kMiB), {{"the machine", 300 * kMiB, 220 * kMiB}}).ok());
}

TEST(MemoryPlan, CountsTheAddressesOfRowsThatAreGivenBackWhereAddressesAreLimited) {
  MemoryPlan windowed = plan(64 * kMiB);
  windowed.unused_addresses = 448 * kMiB;
  const std::vector<MemoryLimit> addresses = {{"ulimit -v", 700 * kMiB, 650 * kMiB, MemoryLimit::Counts::reserved}};
  EXPECT_THAT(check_memory(windowed, addresses).error().message,
              testing::AllOf(HasSubstr("without all rows 448 MiB"), HasSubstr("--cache-size-limit 49MiB would fit")));
  EXPECT_TRUE(check_memory(windowed, {{"the machine", 300 * kMiB, 220 * kMiB}}).ok());
}

TEST(MemoryPlan, LeavesRoomForWhatGrowsWithTheCache) {
  MemoryPlan with_tier = plan(8 * kGiB);
  with_tier.tier = 2 * kGiB;
  const auto refused = check_memory(with_tier, {{"the machine", 8 * kGiB, 5 * kGiB + 150 * kMiB}});
  EXPECT_THAT(refused.error().message, HasSubstr("--cache-size-limit 3891MiB would fit"));
}

}  // namespace
}  // namespace headwater::actors
