#include "kernels/thread_probe.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>

#include "kernels/cpu/thread_pool.h"
#include "tests/support/limited_child.h"

namespace headwater::kernels {
namespace {

constexpr std::uint64_t kFewStacks = std::uint64_t{40} << 20U;

TEST(ThreadProbe, StartsWhatIsAskedForWhereNothingLimitsIt) {
  EXPECT_EQ(startable_threads(0), 0U);
  EXPECT_EQ(startable_threads(20), 20U);
}

TEST(ThreadProbe, FindsThatStacksDoNotFit) {
  if (!test::kAddressesCanBeLimited) GTEST_SKIP() << "not in this build";
  EXPECT_LT(test::with_addresses(kFewStacks, [] { return static_cast<int>(startable_threads(100)); }), 40);
}

TEST(ThreadPoolStart, ThatTheSystemRefusesIsAnExceptionAndEndsWhatHasStarted) {
  if (!test::kAddressesCanBeLimited) GTEST_SKIP() << "not in this build";
  const int status = test::with_addresses(kFewStacks, [] {
    try {
      const cpu::ThreadPool pool(100);
      return 1;
    } catch (const std::exception&) {
      return 7;
    }
  });
  EXPECT_EQ(status, 7);
}

}  // namespace
}  // namespace headwater::kernels
