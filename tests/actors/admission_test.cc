#include "actors/admission.h"

#include <gtest/gtest.h>

namespace headwater::actors {
namespace {

constexpr schedule::ServingLimits kFour{.max_batch_size = 4,
                                        .max_step_tokens = 512,
                                        .prefill_chunk = 256,
                                        .mixed_prefill_tokens = 208,
                                        .kv_tokens = 1'000'000};

using Kind = TokenEvent::Kind;

schedule::RequestPtr request(const std::string& tenant = "", std::size_t prompt = 10, std::uint32_t timeout_ms = 0) {
  static RequestId next = 1;
  auto admitted = std::make_shared<schedule::AdmittedRequest>();
  admitted->id = next++;
  admitted->request.prompt = std::vector<TokenId>(prompt, 1);
  admitted->request.params.max_tokens = 2;
  admitted->request.tenant = tenant;
  admitted->request.timeout_ms = timeout_ms;
  return admitted;
}

TokenEvent terminal(Kind kind) {
  TokenEvent event;
  event.kind = kind;
  return event;
}

Stats stats_of(const Admission& admission) {
  Stats stats;
  admission.report(stats);
  return stats;
}

std::uint64_t refused(const Admission& admission, Refusal why) {
  return stats_of(admission).refused[static_cast<std::size_t>(why)];
}

/// A step that takes a second for each hundred tokens of a prompt.
schedule::StepResult prefill(std::uint32_t tokens) {
  schedule::StepResult step;
  step.duration = TimeNs{tokens} * 10'000'000;
  step.entries.emplace_back().computed = tokens;
  return step;
}

TEST(Admission, GivesCreditUpToItsLimitAndTakesItBack) {
  Admission admission({.max_in_flight = 2});
  const auto first = request();
  EXPECT_EQ(*admission.enter(first), 0U);
  EXPECT_EQ(*admission.enter(request()), 1U);
  const auto refused = admission.enter(request());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
  EXPECT_NE(refused.error().message.find("; try again in about 1 s"), std::string::npos) << refused.error().message;
  EXPECT_EQ(refused.error().retry_after, 1U);
  admission.leave(*first, terminal(Kind::finished), false, 0);
  EXPECT_TRUE(admission.enter(request()).ok());
  const Stats stats = stats_of(admission);
  EXPECT_EQ(stats.accepted, 3U);
  EXPECT_EQ(stats.rejected(), 1U);
  EXPECT_EQ(headwater::actors::refused(admission, Refusal::queue_full), 1U);
  EXPECT_EQ(stats.finished, 1U);
  EXPECT_EQ(stats.in_flight, 2U);
}

TEST(Admission, CountsOnlyRequestsWithoutATokenAsInFront) {
  Admission admission({.max_in_flight = 10});
  EXPECT_EQ(*admission.enter(request()), 0U);
  admission.first_token();
  EXPECT_EQ(*admission.enter(request()), 0U);
  const auto cancelled = request();
  EXPECT_EQ(*admission.enter(cancelled), 1U);
  admission.leave(*cancelled, terminal(Kind::cancelled), false, 0);
  EXPECT_EQ(*admission.enter(request()), 1U);
}

TEST(Admission, RefusesAtOnceWhatWouldMissItsDeadlineAndSaysWhenToComeAgain) {
  Admission admission({.limits = kFour});
  for (int i = 0; i < 20; ++i) admission.on_step(prefill(100));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(admission.enter(request("", 1000)).ok());
  const auto refused = admission.enter(request("", 100, 5000));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
  EXPECT_NE(refused.error().message.find("longer than the request's timeout of 5.0 s"), std::string::npos)
      << refused.error().message;
  const std::uint32_t after = refused.error().retry_after;
  EXPECT_GT(after, 1U) << "some 76 s of work are in front";
  EXPECT_TRUE(refused.error().message.ends_with("; try again in about " + std::to_string(after) + " s"))
      << refused.error().message;
  EXPECT_TRUE(admission.enter(request("", 100, 600'000)).ok());
  EXPECT_EQ(stats_of(admission).rejected(), 1U);
  EXPECT_EQ(headwater::actors::refused(admission, Refusal::deadline), 1U);
}

TEST(Admission, RefusesWhatWouldWaitForLongerThanTheOperatorLetsItWait) {
  Admission admission({.max_wait = 3, .limits = kFour});
  for (int i = 0; i < 20; ++i) admission.on_step(prefill(100));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(admission.enter(request("", 1000)).ok());
  const auto refused = admission.enter(request());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("longer than this server lets one wait (3.0 s, max_wait of the scheduler)"),
            std::string::npos)
      << refused.error().message;
  EXPECT_GT(refused.error().retry_after, 1U);
  EXPECT_EQ(headwater::actors::refused(admission, Refusal::max_wait), 1U);
}

TEST(Admission, DoesNotCountWhoAsksAgain) {
  Admission admission({.max_in_flight = 1});
  EXPECT_TRUE(admission.enter(request()).ok());
  auto waits = std::make_shared<schedule::AdmittedRequest>();
  waits->request.asks_again = true;
  EXPECT_FALSE(admission.enter(waits).ok());
  EXPECT_EQ(stats_of(admission).rejected(), 0U);
}

TEST(Admission, KeepsCreditForTenantsThatHaveNone) {
  Admission admission({.max_in_flight = 8});
  const auto first = request("flood");
  ASSERT_TRUE(admission.enter(first).ok());
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(admission.enter(request("flood")).ok());
  EXPECT_FALSE(admission.enter(request("light")).ok());
  admission.leave(*first, terminal(Kind::finished), false, 0);
  const auto refused = admission.enter(request("flood"));
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("its share"), std::string::npos);
  EXPECT_EQ(headwater::actors::refused(admission, Refusal::share_used), 1U);
  EXPECT_EQ(headwater::actors::refused(admission, Refusal::queue_full), 1U);
  EXPECT_TRUE(admission.enter(request("light")).ok());
}

TEST(Admission, AcceptsNothingWhileDrainingOrBroken) {
  Admission draining({.max_in_flight = 10});
  draining.drain();
  EXPECT_EQ(draining.enter(request()).error().code, ErrorCode::draining);
  Admission broken({.max_in_flight = 10});
  broken.break_down("the executor keeps failing");
  EXPECT_EQ(broken.enter(request()).error().code, ErrorCode::unavailable);
  EXPECT_TRUE(broken.draining());
  EXPECT_EQ(refused(draining, Refusal::draining), 1U);
  EXPECT_EQ(refused(broken, Refusal::unavailable), 1U);
}

TEST(Admission, IsIdleOnlyWhenEveryClientKnowsOfTheEnd) {
  Admission admission({.max_in_flight = 10});
  EXPECT_TRUE(admission.wait_idle(std::chrono::milliseconds(0)));
  const auto one = request();
  EXPECT_TRUE(admission.enter(one).ok());
  admission.leave(*one, terminal(Kind::finished), false, 0);
  EXPECT_FALSE(admission.wait_idle(std::chrono::milliseconds(0)));
  admission.delivered();
  EXPECT_TRUE(admission.wait_idle(std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace headwater::actors
