#include "gateway/buffer_budget.h"

#include <gtest/gtest.h>

#include "headwater/runtime.h"

namespace headwater::test {
namespace {

using namespace gateway;

TEST(BufferBudget, RefusesInputBeyondItsLimitAndSaysTheWayOut) {
  BufferBudget budget(1000);
  BufferAccount a(budget, [] {});
  BufferAccount b(budget, [] {});
  EXPECT_TRUE(a.keep_input(600).ok());
  const auto refused = b.keep_input(401);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("--max-buffered"), std::string::npos);
  EXPECT_EQ(budget.used(), 600U);
  EXPECT_TRUE(b.keep_input(400).ok());
  EXPECT_TRUE(a.keep_input(0).ok());
  EXPECT_TRUE(b.keep_input(1000).ok());
  EXPECT_EQ(budget.used(), 1000U);
}

TEST(BufferBudget, GetsBackWhatAnAccountHasKept) {
  BufferBudget budget(1000);
  {
    BufferAccount a(budget, [] {});
    EXPECT_TRUE(a.keep_input(100).ok());
    a.keep_output(200);
    EXPECT_EQ(budget.used(), 300U);
  }
  EXPECT_EQ(budget.used(), 0U);
}

TEST(BufferBudget, TellsTheOneWithMostUnsentToGoAndOnlyThatOne) {
  BufferBudget budget(1000);
  int small = 0, large = 0;
  BufferAccount a(budget, [&] { ++small; });
  BufferAccount b(budget, [&] { ++large; });
  a.keep_output(400);
  b.keep_output(600);
  EXPECT_EQ(small + large, 0);
  a.keep_output(500);
  EXPECT_EQ(large, 1);
  EXPECT_EQ(small, 0);
  a.keep_output(900);  // as much as fits when the other is gone
  EXPECT_EQ(large, 1);
  EXPECT_EQ(small, 0);
  b.keep_output(0);
  a.keep_output(1001);
  EXPECT_EQ(small, 1) << "nobody else has anything";
}

TEST(BufferBudget, NeverEndsAConnectionForItsInput) {
  BufferBudget budget(1000);
  int ended = 0, reader = 0;
  BufferAccount a(budget, [&] { ++ended; });
  BufferAccount b(budget, [&] { ++reader; });
  EXPECT_TRUE(a.keep_input(900).ok());
  b.keep_output(200);
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(reader, 1);
}

TEST(BufferBudget, HasAnEighthOfWhatTheProcessMayTakeByDefault) {
  EXPECT_EQ(default_buffer_limit(), std::max<std::uint64_t>(Runtime::memory_limit() / 8, 64 << 20U));
}

}  // namespace
}  // namespace headwater::test
