#include <gtest/gtest.h>

#include "tests/actors/graph_fixture.h"

namespace headwater::test {
namespace {

using Kind = TokenEvent::Kind;

Request text(std::string prompt, std::uint32_t n) {
  Request request = ask({}, n);
  request.prompt = std::move(prompt);
  request.add_special_tokens = false;
  return request;
}

/// Room for prompts that are encoded in several slices.
GraphOptions large() {
  GraphOptions options;
  options.context = 50'000;
  options.total_blocks = 1000;
  options.block_tokens = 64;
  options.scheduler_args = "max_batch_size: 8, max_step_tokens: 4096, prefill_chunk: 4096, mixed_prefill_tokens: 4096";
  return options;
}

TEST(Tokenizer, EncodesLongPromptsInTurnsAsItWouldEncodeThemWhole) {
  Graph graph(large());
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  std::vector<std::pair<RequestId, std::string>> asked;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string prompt = std::string(40'000 + i, '!') + "the other";
    asked.emplace_back(client->submit(text(prompt, 2))->id, prompt);
    asked.emplace_back(client->submit(text("the", 2))->id, "the");
  }
  for (const auto& [id, prompt] : asked) {
    const auto ids = graph.runtime().tokenize(prompt, false, true).value();
    EXPECT_EQ(log.wait(id).tokens(), FakeModel::answer(ids, 2));
  }
  graph.expect_settled();
}

TEST(Tokenizer, RefusesByItsBytesWhatCannotFit) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const Outcome refused = log.wait(client->submit(text(std::string(100'000, 'x'), 2))->id);
  EXPECT_EQ(refused.last().error.code, ErrorCode::context_length_exceeded);
  EXPECT_EQ(
      refused.last().error.message,
      "This model's maximum context length is 256 tokens. However, the prompt has 100000 bytes, more than so many "
      "tokens can have.");
  EXPECT_EQ(graph.runtime().tokenize(std::string(100'000, 'x'), false, false).error().code,
            ErrorCode::context_length_exceeded);
}

TEST(Tokenizer, StopsAtAPromptThatTurnsOutTooLong) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const Outcome refused = log.wait(client->submit(text(std::string(1000, '!'), 2))->id);
  EXPECT_EQ(refused.last().error.code, ErrorCode::context_length_exceeded);
  EXPECT_EQ(log.wait(client->submit(text("the", 2))->id).last().kind, Kind::finished);
  graph.expect_settled();
}

TEST(Tokenizer, ForgetsPromptsThatAreCancelledOnTheWay) {
  Graph graph(large());
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  std::vector<RequestId> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(client->submit(text(std::string(45'000, '!'), 2))->id);
    client->cancel(ids.back());
  }
  for (const RequestId id : ids) EXPECT_EQ(log.wait(id).last().kind, Kind::cancelled);
  EXPECT_EQ(log.wait(client->submit(text("the", 2))->id).last().kind, Kind::finished);
  graph.expect_settled();
}

}  // namespace
}  // namespace headwater::test
