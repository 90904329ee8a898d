#include "actors/graph_runtime.h"

#include <gtest/gtest.h>

#include "tests/actors/graph_fixture.h"
#include "tests/support/limited_child.h"

namespace headwater::test {
namespace {

using Kind = TokenEvent::Kind;

TEST(GraphRuntime, AnswersManyClientsAtOnceEachWithItsOwnTokens) {
  Graph graph;
  EventLog log;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::pair<RequestId, std::vector<TokenId>>> sent;
  for (std::uint32_t c = 0; c < 8; ++c) {
    clients.push_back(graph.runtime().connect(log.handler()));
    for (std::uint32_t i = 0; i < 4; ++i) {
      auto prompt = prompt_of(c * 100 + i, 5 + c * 7 + i);
      const auto ticket = clients.back()->submit(ask(prompt, 20));
      ASSERT_TRUE(ticket.ok());
      sent.emplace_back(ticket->id, prompt);
    }
  }
  for (const auto& [id, prompt] : sent) {
    const Outcome outcome = log.wait(id);
    ASSERT_TRUE(outcome.ended());
    EXPECT_EQ(outcome.last().kind, Kind::finished);
    EXPECT_EQ(outcome.last().finish_reason, FinishReason::length);
    EXPECT_EQ(outcome.last().usage.prompt_tokens, prompt.size());
    EXPECT_EQ(outcome.last().usage.completion_tokens, 20U);
    EXPECT_EQ(outcome.tokens(), FakeModel::answer(prompt, 20));
  }
  EXPECT_EQ(log.violations(), 0);
  graph.expect_settled();
}

TEST(GraphRuntime, RunsATopologyWithTwoTokenizersAndThreeDetokenizers) {
  GraphOptions options;
  options.tokenizers = 2;
  options.detokenizers = 3;
  Graph graph(options);
  EXPECT_EQ(graph.runtime().stages().size(), 9U);
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  std::vector<std::pair<RequestId, std::vector<TokenId>>> sent;
  for (std::uint32_t i = 0; i < 12; ++i) {
    auto prompt = prompt_of(i, 10 + i);
    sent.emplace_back(client->submit(ask(prompt, 9))->id, prompt);
  }
  for (const auto& [id, prompt] : sent) EXPECT_EQ(log.wait(id).tokens(), FakeModel::answer(prompt, 9));
  graph.expect_settled();
}

/// A stage of the test's own: counts the requests that pass.
class Tap : public actors::StageActor {
 public:
  Tap(caf::actor_config& config, actors::StageContext context, std::shared_ptr<std::atomic<int>> passed)
      : StageActor(config, std::move(context)), passed_(std::move(passed)) {}

 private:
  caf::message_handler handlers() override {
    return {[this](actors::TokenizedRequest& message) {
      ++*passed_;
      send(successor(message.request->id), std::move(message));
    }};
  }
  std::shared_ptr<std::atomic<int>> passed_;
};

TEST(GraphRuntime, RunsAStageThatTheHostRegistered) {
  const auto passed = std::make_shared<std::atomic<int>>(0);
  actors::StageRegistry registry = actors::builtin_stages();
  topology::StageInfo info;
  info.kind = "tap";
  info.impl = "default";
  info.consumes = info.produces = "tokenized_request";
  ASSERT_TRUE(registry
                  .add({info,
                        [passed](caf::actor_system& system, const actors::StageContext& context) -> caf::actor {
                          return system.spawn<Tap>(context, passed);
                        }})
                  .ok());
  GraphOptions options;
  options.tokenizer_to = "tap";
  options.extra_stage = "  - { id: tap, kind: tap, to: [match] }\n";
  Graph graph(options, registry);
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const auto prompt = prompt_of(1, 12);
  EXPECT_EQ(log.wait(client->submit(ask(prompt, 5))->id).tokens(), FakeModel::answer(prompt, 5));
  EXPECT_EQ(*passed, 1);

  // A cancel passes a stage that knows nothing of it.
  graph.model().delay_us = 2000;
  const RequestId id = client->submit(ask(prompt_of(2, 12), 200))->id;
  log.wait_tokens(id, 2);
  client->cancel(id);
  EXPECT_EQ(log.wait(id).last().kind, Kind::cancelled);
  graph.expect_settled();
}

TEST(GraphRuntime, RefusesASecondRegistrationOfAKind) {
  actors::StageRegistry registry = actors::builtin_stages();
  const auto* known = registry.find("tokenizer", "default");
  ASSERT_NE(known, nullptr);
  const auto again = registry.add(*known);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find("tokenizer"), std::string::npos);
}

TEST(GraphRuntime, CancelsAtOnceAndTellsTheClientExactlyOnce) {
  Graph graph;
  graph.model().delay_us = 2000;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const RequestId id = client->submit(ask(prompt_of(1, 10), 200))->id;
  log.wait_tokens(id, 3);
  client->cancel(id);
  client->cancel(id);
  client->cancel(id + 1000);
  const Outcome outcome = log.wait(id);
  EXPECT_EQ(outcome.last().kind, Kind::cancelled);
  EXPECT_LT(outcome.tokens().size(), 200U);
  const auto after = log.wait(client->submit(ask(prompt_of(2, 10), 5))->id);
  EXPECT_EQ(after.tokens(), FakeModel::answer(prompt_of(2, 10), 5));
  EXPECT_EQ(log.violations(), 0);
  graph.expect_settled();
}

TEST(GraphRuntime, OneClientCannotCancelTheRequestOfAnother) {
  Graph graph;
  EventLog log;
  const auto owner = graph.runtime().connect(log.handler());
  const auto stranger = graph.runtime().connect(log.handler());
  const RequestId id = owner->submit(ask(prompt_of(1, 10), 100))->id;
  stranger->cancel(id);
  EXPECT_EQ(log.wait(id).last().kind, Kind::finished);
}

TEST(GraphRuntime, CancelsWhatAClientHasRunningWhenItGoes) {
  Graph graph;
  graph.model().delay_us = 1000;
  EventLog log;
  auto leaving = graph.runtime().connect(log.handler());
  const auto staying = graph.runtime().connect(log.handler());
  for (std::uint32_t i = 0; i < 6; ++i) ASSERT_TRUE(leaving->submit(ask(prompt_of(i, 30), 200)).ok());
  const auto prompt = prompt_of(50, 20);
  const RequestId id = staying->submit(ask(prompt, 20))->id;
  leaving.reset();
  EXPECT_EQ(log.wait(id).tokens(), FakeModel::answer(prompt, 20));
  const Stats stats = graph.idle_stats();
  EXPECT_EQ(stats.cancelled, 6U);
  graph.expect_settled();
}

TEST(GraphRuntime, DropsRequestsWhoseClientsLeaveWhileQueuedPrefillingOrDecoding) {
  GraphOptions options;
  options.scheduler_args = "max_batch_size: 1, max_step_tokens: 16, prefill_chunk: 16";
  Graph graph(options);
  graph.model().delay_us = 2000;
  EventLog log;
  auto decoding = graph.runtime().connect(log.handler());
  auto queued = graph.runtime().connect(log.handler());
  const RequestId running = decoding->submit(ask(prompt_of(1, 10), 200))->id;
  log.wait_tokens(running, 2);
  ASSERT_TRUE(queued->submit(ask(prompt_of(2, 10), 5)).ok());
  queued.reset();
  decoding.reset();
  graph.expect_settled();

  auto prefilling = graph.runtime().connect(log.handler());
  const std::uint64_t rows = graph.model().rows;
  ASSERT_TRUE(prefilling->submit(ask(prompt_of(3, 250), 5)).ok());
  wait_until([&] { return graph.model().rows >= rows + 32; });
  prefilling.reset();
  graph.expect_settled();
  EXPECT_LT(graph.model().rows, rows + 250);
  EXPECT_EQ(graph.runtime().stats().cancelled, 3U);

  const auto staying = graph.runtime().connect(log.handler());
  EXPECT_EQ(log.wait(staying->submit(ask(prompt_of(4, 20), 5))->id).tokens(), FakeModel::answer(prompt_of(4, 20), 5));
}

TEST(GraphRuntime, FailsARequestWhoseDeadlinePasses) {
  Graph graph;
  graph.model().delay_us = 2000;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  Request request = ask(prompt_of(1, 10), 240);
  request.timeout_ms = 60;
  const Outcome outcome = log.wait(client->submit(request)->id);
  EXPECT_EQ(outcome.last().kind, Kind::failed);
  EXPECT_EQ(outcome.last().error.code, ErrorCode::deadline_exceeded);
  graph.expect_settled();
}

TEST(GraphRuntime, RefusesMoreRequestsThanItsCreditAllows) {
  GraphOptions options;
  options.gateway = "max_queued: 3, max_per_connection: 2";
  Graph graph(options);
  graph.model().delay_us = 1000;
  EventLog log;
  const auto one = graph.runtime().connect(log.handler());
  const auto two = graph.runtime().connect(log.handler());
  const RequestId first = one->submit(ask(prompt_of(1, 10), 100))->id;
  const RequestId second = one->submit(ask(prompt_of(2, 10), 100))->id;
  const auto too_many_here = one->submit(ask(prompt_of(3, 10), 5));
  ASSERT_FALSE(too_many_here.ok());
  EXPECT_EQ(too_many_here.error().code, ErrorCode::overloaded);
  Request waits = ask(prompt_of(3, 10), 5);
  waits.asks_again = true;
  EXPECT_FALSE(one->submit(waits).ok());
  const RequestId third = two->submit(ask(prompt_of(4, 10), 100))->id;
  const auto too_many = two->submit(ask(prompt_of(5, 10), 5));
  ASSERT_FALSE(too_many.ok());
  EXPECT_EQ(too_many.error().code, ErrorCode::overloaded);
  for (RequestId id : {first, second, third}) EXPECT_EQ(log.wait(id).last().kind, Kind::finished);
  EXPECT_TRUE(one->submit(ask(prompt_of(6, 10), 5)).ok());
  const Stats stats = graph.runtime().stats();
  EXPECT_EQ(stats.refused[static_cast<std::size_t>(Refusal::connection_full)], 1U);
  EXPECT_EQ(stats.refused[static_cast<std::size_t>(Refusal::queue_full)], 1U);
  EXPECT_EQ(stats.rejected(), 2U) << "who asks again is not refused";
}

TEST(GraphRuntime, KnowsTheLeastOfTheLimitsOfMemory) {
  EXPECT_GT(Runtime::memory_limit(), 1U << 20U);
  if (!kAddressesCanBeLimited) GTEST_SKIP() << "a sanitizer needs addresses of its own";
  const auto is_the_ulimit = [] {
    rlimit addresses{};
    getrlimit(RLIMIT_AS, &addresses);
    return Runtime::memory_limit() == addresses.rlim_cur ? 1 : 2;
  };
  EXPECT_EQ(with_addresses(64 << 20U, is_the_ulimit), 1);
}

TEST(GraphRuntime, RefusesBadParametersWithTheFieldsName) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  Request request = ask(prompt_of(1, 5), 5);
  request.params.temperature = std::numeric_limits<float>::quiet_NaN();
  const auto refused = client->submit(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().param, "temperature");
}

TEST(GraphRuntime, FailsPromptsThatAreEmptyTooLongOrOutsideTheVocabulary) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const auto code_of = [&](const Request& request) {
    const Outcome outcome = log.wait(client->submit(request)->id);
    EXPECT_EQ(outcome.last().kind, Kind::failed);
    return outcome.last().error.code;
  };
  EXPECT_EQ(code_of(ask({}, 5)), ErrorCode::invalid_request);
  EXPECT_EQ(code_of(ask({1, 2, 1'000'000}, 5)), ErrorCode::invalid_request);
  EXPECT_EQ(code_of(ask({1, -2}, 5)), ErrorCode::invalid_request);
  EXPECT_EQ(code_of(ask(prompt_of(1, 256), 5)), ErrorCode::context_length_exceeded);
  EXPECT_EQ(log.wait(client->submit(ask(prompt_of(1, 255), 5))->id).tokens().size(), 1U);
  graph.expect_settled();
}

TEST(GraphRuntime, EndsAnAnswerAtAStopStringAndFreesItsBlocks) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const auto prompt = prompt_of(3, 10);
  const std::string whole = log.wait(client->submit(ask(prompt, 40))->id).text();
  Request request = ask(prompt, 200);
  request.params.stop = {whole.substr(10, 3)};
  const Outcome outcome = log.wait(client->submit(request)->id);
  EXPECT_EQ(outcome.last().finish_reason, FinishReason::stop);
  EXPECT_EQ(outcome.last().stop_match, whole.substr(10, 3));
  EXPECT_EQ(outcome.text(), whole.substr(0, whole.find(whole.substr(10, 3))));
  graph.expect_settled();
}

TEST(GraphRuntime, DrainsByLettingRunningRequestsFinish) {
  Graph graph;
  graph.model().delay_us = 500;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const RequestId id = client->submit(ask(prompt_of(1, 10), 60))->id;
  EXPECT_TRUE(graph.runtime().drain(std::chrono::seconds(30)));
  EXPECT_EQ(log.wait(id).last().kind, Kind::finished);
  const auto late = client->submit(ask(prompt_of(1, 10), 5));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::draining);
}

TEST(GraphRuntime, CancelsWhatADrainCannotWaitFor) {
  Graph graph;
  graph.model().delay_us = 5000;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  const RequestId id = client->submit(ask(prompt_of(1, 10), 240))->id;
  EXPECT_FALSE(graph.runtime().drain(std::chrono::milliseconds(50)));
  EXPECT_EQ(log.wait(id).last().kind, Kind::cancelled);
}

TEST(GraphRuntime, ScoresAPromptWithoutGeneratingAnything) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  Request request = ask(prompt_of(9, 40), 0);
  request.params.prompt_logprobs = 2;
  for (int round = 0; round < 2; ++round) {  // the second time everything is cached, and still scored
    const Outcome outcome = log.wait(client->submit(request)->id);
    ASSERT_EQ(outcome.events.size(), 2U);
    EXPECT_EQ(outcome.events[0].kind, Kind::prompt);
    EXPECT_EQ(outcome.events[0].token_ids, prompt_of(9, 40));
    ASSERT_EQ(outcome.events[0].logprobs.size(), 40U);
    EXPECT_EQ(outcome.events[0].logprobs[5].top.size(), 2U);
    EXPECT_EQ(outcome.last().kind, Kind::finished);
    EXPECT_EQ(outcome.last().usage.completion_tokens, 0U);
  }
  graph.expect_settled();
}

}  // namespace
}  // namespace headwater::test
