// Kills each kind of stage under load.

#include "actors/supervisor.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "actors/frontend.h"
#include "tests/actors/graph_fixture.h"
#include "tests/actors/handler_actor.h"
#include "tests/actors/manual_system.h"

namespace headwater::test {
namespace {

using Kind = TokenEvent::Kind;

class KilledStage : public testing::TestWithParam<const char*> {};

TEST_P(KilledStage, FailsItsRequestsClearlyAndTheServerGoesOn) {
  GraphOptions options;
  options.tokenizers = 2;
  options.detokenizers = 2;
  Graph graph(options);
  graph.model().delay_us = 300;
  EventLog log;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::pair<RequestId, std::vector<TokenId>>> sent;
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t c = 0; c < 12; ++c) {
      clients.push_back(graph.runtime().connect(log.handler()));
      auto prompt = prompt_of(c, 30 + c);
      sent.emplace_back(clients.back()->submit(ask(prompt, 40))->id, prompt);
    }
    log.wait_tokens(sent.back().first, 1);
    graph.kill(GetParam());
  }
  std::size_t failed = 0;
  for (const auto& [id, prompt] : sent) {
    const Outcome outcome = log.wait(id);
    ASSERT_TRUE(outcome.ended()) << "request " << id << " never ended";
    if (outcome.last().kind == Kind::failed) {
      ++failed;
      EXPECT_EQ(outcome.last().error.code, ErrorCode::stage_failed);
      EXPECT_NE(outcome.last().error.message.find(GetParam()), std::string::npos);
    } else {
      EXPECT_EQ(outcome.last().kind, Kind::finished);
      EXPECT_EQ(outcome.tokens(), FakeModel::answer(prompt, 40));
    }
  }
  // A tokenizer has handed its requests on long before; every other stage had some.
  if (std::string(GetParam()) != "tok") {
    EXPECT_GT(failed, 0U);
  }
  EXPECT_EQ(log.violations(), 0);

  // The last kill may still be on its way.
  wait_until([&] { return graph.runtime().stats().stage_restarts >= 3; });
  graph.idle_stats();
  const auto prompt = prompt_of(99, 33);
  EXPECT_EQ(log.wait(clients.front()->submit(ask(prompt, 25))->id).tokens(), FakeModel::answer(prompt, 25));
  graph.expect_settled();
  EXPECT_EQ(graph.runtime().stats().stage_restarts, 3U);
}

INSTANTIATE_TEST_SUITE_P(EveryKind, KilledStage, testing::Values("tok", "match", "sched", "exec", "evict", "detok"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Supervisor, StartsAnExecutorAnewWhoseForwardPassThrows) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  graph.model().throw_next = true;
  const auto prompt = prompt_of(4, 20);
  const Outcome outcome = log.wait(client->submit(ask(prompt, 5))->id);
  EXPECT_EQ(outcome.last().kind, Kind::failed);
  EXPECT_EQ(outcome.last().error.code, ErrorCode::stage_failed);
  EXPECT_EQ(log.wait(client->submit(ask(prompt, 5))->id).tokens(), FakeModel::answer(prompt, 5));
  graph.expect_settled();
}

TEST(Supervisor, GivesUpOnAStageThatKeepsFailing) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  Result<Client::Ticket> ticket = client->submit(ask(prompt_of(1, 4), 2));
  for (int i = 0; i < 50 && ticket; ++i) {
    graph.model().throw_next = true;
    ticket = client->submit(ask(prompt_of(1, 4), 2));
    if (ticket) {
      EXPECT_TRUE(log.wait(ticket->id).ended());
    }
  }
  ASSERT_FALSE(ticket.ok());
  EXPECT_EQ(ticket.error().code, ErrorCode::unavailable);
  EXPECT_TRUE(graph.runtime().draining());
}

/// A supervisor of stages that do nothing, by a clock that can be made to throw.
class WatchedSupervisor : public testing::Test {
 protected:
  WatchedSupervisor() {
    actors::StageRegistry registry;
    const topology::StageCatalog catalog = topology::builtin_catalog();
    for (const topology::StageInfo& info : catalog.all()) {
      EXPECT_TRUE(registry
                      .add({info,
                            [](caf::actor_system& system, const actors::StageContext&) {
                              return system.spawn<HandlerActor>([](caf::event_based_actor*) -> caf::behavior {
                                return {[](const actors::Wire&) {}, [](const actors::ResetStage&) {}};
                              });
                            }})
                      .ok());
    }
    const auto parsed = topology::parse(graph_yaml({}), "test.yaml", registry.catalog());
    auto assets = std::make_shared<actors::Assets>();
    assets->clock = [this]() -> TimeNs {
      if (broken_clock_) throw std::runtime_error("the clock is broken");
      return 0;
    };
    frontend_ = actors::spawn_frontend(*system_, assets, admission_);
    supervisor_ = actors::spawn_supervisor(*system_, *parsed.topology, registry, assets, admission_, frontend_);
    caf::anon_send(supervisor_, actors::StartStages{});
    system_.run();
  }

  ~WatchedSupervisor() override {
    caf::anon_send(supervisor_, actors::StopStages{});
    caf::anon_send_exit(frontend_, caf::exit_reason::user_shutdown);
    system_.run();
  }

  std::vector<actors::StageHandle> stages() {
    std::vector<actors::StageHandle> stages;
    auto asks = (*system_).spawn<HandlerActor>([&](caf::event_based_actor* self) -> caf::behavior {
      self->request(supervisor_, caf::infinite, actors::ListStages{}).then([&](const actors::StageList& list) {
        stages = list.stages;
      });
      return {};
    });
    system_.run();
    return stages;
  }

  ManualSystem system_;
  bool broken_clock_ = false;
  std::shared_ptr<actors::Admission> admission_ = std::make_shared<actors::Admission>(actors::AdmissionOptions{});
  caf::actor frontend_, supervisor_;
};

TEST_F(WatchedSupervisor, WhoseHandlerThrowsTakesTheStagesAlongAndTheFrontendSaysSo) {
  const auto before = stages();
  ASSERT_EQ(before.size(), 6U);
  broken_clock_ = true;
  caf::anon_send_exit(before.front().actor, caf::exit_reason::kill);
  system_.run();
  const auto refused = admission_->enter(std::make_shared<schedule::AdmittedRequest>());
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("the clock is broken"), std::string::npos);
  EXPECT_TRUE(stages().empty());  // nobody answers
}

TEST_F(WatchedSupervisor, WithoutAFrontendEndsTheProcessWithALineThatSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        spdlog::set_default_logger(spdlog::stderr_color_mt("test"));
        caf::anon_send_exit(frontend_, caf::exit_reason::kill);
        system_.run();
      },
      testing::ExitedWithCode(1), "the frontend failed");
}

}  // namespace
}  // namespace headwater::test
