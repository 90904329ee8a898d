#include "schedule/answer_stream.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tiny_gguf.h"

namespace headwater::schedule {
namespace {

using Kind = TokenEvent::Kind;

class AnswerStreamsTest : public testing::Test {
 protected:
  static std::shared_ptr<const model::Tokenizer> tiny() {
    test::GgufWriter writer;
    test::add_tiny_tokenizer(writer);
    const test::TemporaryFile bytes(writer.bytes());
    return std::move(model::Tokenizer::load(**model::GgufFile::open(bytes.path()))).value();
  }

  TokenId id_of(std::string_view text) const { return tokenizer_->encode(text, {.parse_special = true}).at(0); }

  SequenceStart start(RequestId id, ConnectionId connection, SamplingParams params = {}) {
    auto request = std::make_shared<AdmittedRequest>();
    request->id = id;
    request->connection = connection;
    request->accepted_at = 1'000'000;
    request->prompt = {id_of("a"), id_of("b")};
    request->max_new_tokens = 10;
    request->request.params = std::move(params);
    return {.request = request,
            .tokens = request->prompt,
            .blocks = {0},
            .cached_tokens = 1,
            .scheduled_at = 3'000'000,
            .details = {1, CacheSource::memory, CacheMiss::none, 0}};
  }

  static EntryResult token(RequestId id, TokenId token, FinishReason finish = FinishReason::none) {
    EntryResult entry;
    entry.id = id;
    entry.sampled = {{token}};
    entry.finish = finish;
    return entry;
  }

  std::vector<ConnectionEvents> step(std::vector<SequenceStart> starts, std::vector<EntryResult> entries) {
    StepResult result;
    result.starts = std::move(starts);
    result.entries = std::move(entries);
    return answers_.on_result(result);
  }

  std::shared_ptr<const model::Tokenizer> tokenizer_ = tiny();
  AnswerStreams answers_{*tokenizer_, [](RequestId id) { return id < 100; }};
};

TEST_F(AnswerStreamsTest, GivesOneBatchForEachConnection) {
  const auto batches =
      step({start(1, 7), start(2, 8), start(3, 7)}, {token(1, id_of("x")), token(2, id_of("y")), token(3, id_of("z"))});
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_EQ(batches[0].connection, 7U);
  ASSERT_EQ(batches[0].events.size(), 2U);
  EXPECT_EQ(batches[0].events[0].text, "x");
  EXPECT_EQ(batches[0].events[1].text, "z");
  EXPECT_EQ(batches[1].events[0].text, "y");
}

TEST_F(AnswerStreamsTest, EndsWithTheReasonTheUsageAndTheTimeInTheQueue) {
  step({start(1, 7)}, {token(1, id_of("x"))});
  const auto events = step({}, {token(1, id_of("<|im_end|>"), FinishReason::stop)})[0].events;
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].text, "");  // an end token has no text
  EXPECT_EQ(events[0].token_ids, std::vector<TokenId>{id_of("<|im_end|>")});
  EXPECT_EQ(events[1].kind, Kind::finished);
  EXPECT_EQ(events[1].finish_reason, FinishReason::stop);
  EXPECT_EQ(events[1].usage.prompt_tokens, 2U);
  EXPECT_EQ(events[1].usage.completion_tokens, 2U);
  EXPECT_EQ(events[1].usage.cached_tokens, 1U);
  EXPECT_EQ(events[1].usage.cache, (CacheDetails{1, CacheSource::memory, CacheMiss::none, 0}));
  EXPECT_DOUBLE_EQ(events[1].timings.queue_ms, 2.0);
  EXPECT_EQ(answers_.size(), 0U);
  EXPECT_TRUE(step({}, {token(1, id_of("x"))}).empty());
}

TEST_F(AnswerStreamsTest, StopsAtAStopStringAndSaysWhich) {
  SamplingParams params;
  params.stop = {"xy"};
  const auto held = step({start(1, 7, params)}, {token(1, id_of("x"))})[0].events;
  EXPECT_EQ(held[0].text, "");
  const auto events = step({}, {token(1, id_of("y"))})[0].events;
  EXPECT_EQ(events.back().kind, Kind::finished);
  EXPECT_EQ(events.back().stop_match, "xy");
  EXPECT_EQ(events.back().finish_reason, FinishReason::stop);
  EXPECT_EQ(events[0].text, "");
}

TEST_F(AnswerStreamsTest, StopsAtAStringThatBeganBeforeMinTokens) {
  SamplingParams params;
  params.stop = {"xy"};
  params.min_tokens = 2;
  EXPECT_EQ(step({start(1, 7, params)}, {token(1, id_of("x"))})[0].events[0].text, "");
  EXPECT_EQ(step({}, {token(1, id_of("y"))})[0].events.back().stop_match, "xy");
}

TEST_F(AnswerStreamsTest, SaysWhatHasBeenUsedSoFar) {
  const auto first = step({start(1, 7)}, {token(1, id_of("x"))})[0].events[0];
  EXPECT_EQ(first.usage.prompt_tokens, 2U);
  EXPECT_EQ(first.usage.completion_tokens, 1U);
  const auto last = step({}, {token(1, id_of("<|im_end|>"), FinishReason::stop)})[0].events[0];
  EXPECT_EQ(last.usage.completion_tokens, 2U);
}

TEST_F(AnswerStreamsTest, SendsWhatWasHeldBackWhenTheLengthEndsTheAnswer) {
  SamplingParams params;
  params.stop = {"xyz"};
  step({start(1, 7, params)}, {token(1, id_of("x"))});
  const auto events = step({}, {token(1, id_of("y"), FinishReason::length)})[0].events;
  EXPECT_EQ(events[0].text, "xy");
  EXPECT_EQ(events[1].finish_reason, FinishReason::length);
}

TEST_F(AnswerStreamsTest, RebuildsItsStateAfterAPreemption) {
  SamplingParams params;
  params.stop = {"xy"};
  SequenceStart again = start(1, 7, params);
  step({again}, {token(1, id_of("x"))});
  again.tokens.push_back(id_of("x"));
  StepResult result;
  result.retired = {1};
  result.starts = {again};
  result.entries = {token(1, id_of("y"))};
  const auto events = answers_.on_result(result)[0].events;
  EXPECT_EQ(events.back().stop_match, "xy");
  EXPECT_EQ(events.back().usage.completion_tokens, 2U);
}

TEST_F(AnswerStreamsTest, LeavesTheRequestsOfOtherReplicasAlone) {
  EXPECT_TRUE(step({start(100, 7)}, {token(100, id_of("x"))}).empty());
}

TEST_F(AnswerStreamsTest, TellsSeveralTokensOfAStepOneByOne) {
  EntryResult three = token(1, id_of("x"), FinishReason::length);
  three.sampled.push_back({id_of("y"), -1});
  three.sampled.push_back({id_of("z"), -2});
  SamplingParams params;
  params.logprobs = 0;
  const auto events = step({start(1, 7, params)}, {three})[0].events;
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].text + "," + events[1].text + "," + events[2].text, "x,y,z");
  EXPECT_EQ(events[1].usage.completion_tokens, 2U);
  EXPECT_EQ(events[2].logprobs.at(0).chosen.logprob, -2);
  EXPECT_EQ(events[3].finish_reason, FinishReason::length);
}

TEST_F(AnswerStreamsTest, TellsNothingOfTheTokensBehindAStopString) {
  SamplingParams params;
  params.stop = {"xy"};
  EntryResult four = token(1, id_of("z"), FinishReason::length);
  for (const char* letter : {"x", "y", "z"}) four.sampled.push_back({id_of(letter)});
  const auto events = step({start(1, 7, params)}, {four})[0].events;
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].text + events[1].text + events[2].text, "z");
  EXPECT_EQ(events[3].finish_reason, FinishReason::stop);
  EXPECT_EQ(events[3].stop_match, "xy");
  EXPECT_EQ(events[3].usage.completion_tokens, 3U);
  EXPECT_EQ(answers_.size(), 0U);
}

TEST_F(AnswerStreamsTest, TellsTheTokensBeforeAFailure) {
  EntryResult failed = token(1, id_of("x"));
  failed.error = "no usable logits";
  const auto events = step({start(1, 7)}, {failed})[0].events;
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].text, "x");
  EXPECT_EQ(events[1].kind, Kind::failed);
}

TEST_F(AnswerStreamsTest, ReportsAFailedSequence) {
  EntryResult failed = token(1, 0);
  failed.sampled.clear();
  failed.error = "no usable logits";
  const auto events = step({start(1, 7)}, {failed})[0].events;
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind, Kind::failed);
  EXPECT_EQ(events[0].error.message, "no usable logits");
}

TEST_F(AnswerStreamsTest, GathersThePromptsLogProbabilitiesOverItsChunks) {
  SamplingParams params;
  params.prompt_logprobs = 1;
  params.logprobs = 1;
  EntryResult chunk;
  chunk.id = 1;
  chunk.prompt_logprobs = {{-0.5F, {{id_of("b"), -0.5F}}}};
  EXPECT_TRUE(step({start(1, 7, params)}, {chunk}).empty());
  EntryResult last = token(1, id_of("c"));
  last.sampled[0].logprob = -1;
  last.sampled[0].top = {{id_of("c"), -1.0F}};
  const auto events = step({}, {last})[0].events;
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, Kind::prompt);
  ASSERT_EQ(events[0].logprobs.size(), 2U);
  EXPECT_TRUE(std::isnan(events[0].logprobs[0].chosen.logprob));
  EXPECT_EQ(events[0].logprobs[1].chosen.bytes, "b");
  EXPECT_EQ(events[1].logprobs[0].top[0].bytes, "c");
}

}  // namespace
}  // namespace headwater::schedule
