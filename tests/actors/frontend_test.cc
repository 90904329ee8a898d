#include "actors/frontend.h"

#include <gtest/gtest.h>

#include "actors/supervisor.h"
#include "tests/actors/handler_actor.h"
#include "tests/actors/manual_system.h"
#include "tests/support/events.h"

namespace headwater::actors {
namespace {

using Kind = TokenEvent::Kind;

/// A frontend between clients and a stage that only counts what it is sent. Its clock throws when it is told to.
class FrontendTest : public testing::Test {
 protected:
  FrontendTest() {
    auto assets = std::make_shared<Assets>();
    assets->clock = [this] {
      if (throws_ > 0 && throws_-- > 0) throw std::runtime_error("the clock is broken");
      return now_;
    };
    assets_ = std::move(assets);
    frontend_ = spawn_frontend(*system_, assets_, admission_);
    tokenizer_ = (*system_).spawn<test::HandlerActor>([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const GenerateRequest& message) { arrived_.push_back(message.request->id); },
              [this](const CancelRequests& message) {
                cancelled_.insert(cancelled_.end(), message.ids.begin(), message.ids.end());
              }};
    });
    Wire wire;
    wire.to = {tokenizer_};
    wire.frontend = frontend_;
    caf::anon_send(frontend_, wire);
    system_.run();
  }

  ~FrontendTest() override {
    caf::anon_send_exit(frontend_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(tokenizer_, caf::exit_reason::user_shutdown);
    system_.run();
  }

  std::shared_ptr<ClientState> connect(ConnectionId id) { return std::make_shared<ClientState>(id, log_.handler()); }

  RequestId submit(const std::shared_ptr<ClientState>& client, std::uint32_t timeout_ms = 0) {
    client->in_flight.fetch_add(1);
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = next_++;
    request->connection = client->id();
    request->accepted_at = now_;
    request->request.timeout_ms = timeout_ms;
    EXPECT_TRUE(admission_->enter(request).ok());
    caf::anon_send(frontend_, SubmitRequest{request, client});
    return request->id;
  }

  void tell(const std::shared_ptr<ClientState>& client, RequestId id, Kind kind) {
    TokenEvent event;
    event.id = id;
    event.kind = kind;
    caf::anon_send(frontend_, TokenBatch{1, client->id(), {event}});
  }

  Stats stats() const {
    Stats stats;
    admission_->report(stats);
    return stats;
  }

  test::ManualSystem system_;
  TimeNs now_ = 1;
  int throws_ = 0;
  std::shared_ptr<const Assets> assets_;
  std::shared_ptr<Admission> admission_ = std::make_shared<Admission>(AdmissionOptions{});
  caf::actor frontend_, tokenizer_;
  test::EventLog log_;
  std::vector<RequestId> arrived_, cancelled_;
  RequestId next_ = 1;
};

TEST_F(FrontendTest, FailsTheRequestsOfABatchThatItCannotDeliverAndServesTheOthers) {
  const auto one = connect(1), other = connect(2);
  const RequestId lost = submit(one), kept = submit(other);
  system_.run();
  throws_ = 1;
  tell(one, lost, Kind::tokens);
  system_.run();
  const auto outcome = log_.wait(lost);
  EXPECT_EQ(outcome.last().kind, Kind::failed);
  EXPECT_EQ(outcome.last().error.code, ErrorCode::stage_failed);
  EXPECT_NE(outcome.last().error.message.find("the clock is broken"), std::string::npos);
  EXPECT_EQ(cancelled_, std::vector<RequestId>{lost});
  tell(other, kept, Kind::finished);
  system_.run();
  EXPECT_EQ(log_.wait(kept).last().kind, Kind::finished);
  EXPECT_EQ(stats().in_flight, 0U);
  EXPECT_EQ(log_.violations(), 0);
}

TEST_F(FrontendTest, FailsEverythingWhereItThrowsOnAccountOfNoRequestAlone) {
  const auto client = connect(1);
  const RequestId timed = submit(client, 50), other = submit(client);
  system_.run();
  throws_ = 1;
  system_.let_pass(std::chrono::milliseconds(20));  // its look at the deadlines
  EXPECT_EQ(log_.wait(timed).last().error.code, ErrorCode::stage_failed);
  EXPECT_EQ(log_.wait(other).last().error.code, ErrorCode::stage_failed);

  const RequestId next = submit(client, 50);
  system_.run();
  now_ += 60'000'000;
  system_.let_pass(std::chrono::milliseconds(20));
  EXPECT_EQ(log_.wait(next).last().error.code, ErrorCode::deadline_exceeded);
  EXPECT_EQ(stats().in_flight, 0U);
}

TEST_F(FrontendTest, OutlivesAClientsHandlerThatThrowsAnything) {
  const auto client = std::make_shared<ClientState>(1, [](std::span<const TokenEvent>) { throw 1; });
  const RequestId id = submit(client);
  tell(client, id, Kind::finished);
  system_.run();
  const auto other = connect(2);
  const RequestId next = submit(other);
  tell(other, next, Kind::finished);
  system_.run();
  EXPECT_EQ(log_.wait(next).last().kind, Kind::finished);
  EXPECT_EQ(stats().in_flight, 0U);
}

TEST_F(FrontendTest, FailsAllRequestsAndTakesNoMoreWhereTheSupervisorHasDied) {
  const caf::actor supervisor =
      (*system_).spawn<test::HandlerActor>([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
  caf::anon_send(frontend_, WatchSupervisor{supervisor.address()});
  const auto client = connect(1);
  const RequestId id = submit(client);
  system_.run();
  caf::anon_send_exit(supervisor, caf::exit_reason::kill);
  system_.run();
  EXPECT_EQ(log_.wait(id).last().error.code, ErrorCode::stage_failed);
  EXPECT_EQ(admission_->enter(std::make_shared<schedule::AdmittedRequest>()).error().code, ErrorCode::unavailable);
  EXPECT_TRUE(admission_->draining());
}

}  // namespace
}  // namespace headwater::actors
