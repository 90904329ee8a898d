#include "schedule/request_ledger.h"

#include <gtest/gtest.h>

namespace headwater::schedule {
namespace {

using Kind = TokenEvent::Kind;
using Verdict = RequestLedger::Verdict;

RequestPtr request(RequestId id, TimeNs accepted_at = 0, std::uint32_t timeout_ms = 0) {
  auto request = std::make_shared<AdmittedRequest>();
  request->id = id;
  request->accepted_at = accepted_at;
  request->request.timeout_ms = timeout_ms;
  return request;
}

TokenEvent event(RequestId id, Kind kind) {
  TokenEvent event;
  event.id = id;
  event.kind = kind;
  if (kind == Kind::tokens) event.token_ids = {5};
  return event;
}

TEST(RequestLedger, NumbersEventsAndAddsTimes) {
  RequestLedger ledger;
  ledger.open(request(1, 1'000'000));
  auto first = event(1, Kind::tokens);
  auto second = event(1, Kind::tokens);
  auto last = event(1, Kind::finished);
  EXPECT_EQ(ledger.apply(first, 3'000'000), Verdict::first_token);
  EXPECT_EQ(ledger.apply(second, 4'000'000), Verdict::deliver);
  EXPECT_EQ(ledger.apply(last, 11'000'000), Verdict::ended);
  EXPECT_EQ(first.seq, 0U);
  EXPECT_EQ(second.seq, 1U);
  EXPECT_EQ(last.seq, 2U);
  EXPECT_DOUBLE_EQ(last.timings.ttft_ms, 2.0);
  EXPECT_DOUBLE_EQ(last.timings.total_ms, 10.0);
  EXPECT_EQ(last.usage.completion_tokens, 2U);
}

TEST(RequestLedger, DropsEverythingAfterTheTerminalEvent) {
  RequestLedger ledger;
  ledger.open(request(1));
  auto done = event(1, Kind::finished);
  auto late = event(1, Kind::tokens);
  auto again = event(1, Kind::failed);
  EXPECT_EQ(ledger.apply(done, 0), Verdict::ended);
  EXPECT_EQ(ledger.apply(late, 0), Verdict::drop);
  EXPECT_EQ(ledger.apply(again, 0), Verdict::drop);
  EXPECT_FALSE(ledger.end(1, Kind::cancelled, {}, 0).has_value());
  EXPECT_EQ(ledger.size(), 0U);
}

TEST(RequestLedger, DropsEventsOfRequestsItNeverSaw) {
  RequestLedger ledger;
  auto stray = event(9, Kind::tokens);
  EXPECT_EQ(ledger.apply(stray, 0), Verdict::drop);
}

TEST(RequestLedger, EndsARequestFromOutsideWithWhatItHasUsed) {
  RequestLedger ledger;
  ledger.open(request(1, 0));
  ledger.on_tokenized(1, 12);
  auto token = event(1, Kind::tokens);
  ledger.apply(token, 1'000'000);
  const auto ended = ledger.end(1, Kind::failed, {ErrorCode::stage_failed, "why", ""}, 5'000'000);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->kind, Kind::failed);
  EXPECT_EQ(ended->error.code, ErrorCode::stage_failed);
  EXPECT_EQ(ended->usage.prompt_tokens, 12U);
  EXPECT_EQ(ended->usage.completion_tokens, 1U);
  EXPECT_EQ(ended->seq, 1U);
}

TEST(RequestLedger, SelectsByDeadlineOldestFirst) {
  RequestLedger ledger;
  ledger.open(request(3, 0, 10));
  ledger.open(request(1, 0, 5));
  ledger.open(request(2));
  const auto late =
      ledger.select([](const auto& entry) { return entry.deadline != 0 && entry.deadline <= 10'000'000; });
  EXPECT_EQ(late, (std::vector<RequestId>{1, 3}));
}

}  // namespace
}  // namespace headwater::schedule
