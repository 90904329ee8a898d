// The prefix_matcher between stubs; what it decides, tests/match/ tests.

#include <gtest/gtest.h>

#include "actors/stage.h"
#include "tests/actors/handler_actor.h"
#include "tests/actors/manual_system.h"

namespace headwater::actors {
namespace {

using Kind = cache::Touch::Kind;

constexpr TimeNs kHour = 3'600'000'000'000;

class PrefixMatcherTest : public testing::Test {
 protected:
  PrefixMatcherTest() {
    auto assets = std::make_shared<Assets>();
    assets->grid = 4;
    assets->block_bytes = 100;
    assets->total_blocks = 8;
    assets->clock = [this] { return now_; };
    StageContext context;
    context.stage.id = context.stage.kind = "prefix_matcher";
    context.cache.cache_ttl_ms = 3'600'000;
    context.assets = std::move(assets);
    matcher_ = spawn_prefix_matcher(*system_, context);
    scheduler_ = (*system_).spawn<test::HandlerActor>([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](MatchedRequest& message) { matched_.push_back(std::move(message.sequence)); },
              [this](const BlockGrant& grant) { granted_ = grant.blocks; },
              [this](const CancelRequests& cancel) { cancelled_ = cancel.ids; }};
    });
    evictor_ = (*system_).spawn<test::HandlerActor>([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const CacheTouches& message) {
        for (const cache::Touch& touch : message.touches) touches_.push_back(touch.kind);
      }};
    });
    Wire wire;
    wire.to = {scheduler_};
    wire.peers.scheduler = scheduler_;
    wire.peers.cache_evictor = evictor_;
    tell(wire, ResetStage{1});
  }

  ~PrefixMatcherTest() override {
    for (const caf::actor& actor : {matcher_, scheduler_, evictor_}) {
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    }
    system_.run();
  }

  template <class... Messages>
  void tell(const Messages&... messages) {
    (caf::anon_send(matcher_, messages), ...);
    system_.run();
  }

  static RequestPtr request() {
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = 1;
    request->prompt = {1, 2, 3, 4, 5};
    return request;
  }

  /// A request that has been computed, and whose whole block is cached.
  void serve() {
    tell(TokenizedRequest{1, request()}, ReclaimBlocks{1, 2, {}, false});
    schedule::CacheChanges changes;
    changes.filled = {{1, {granted_.at(0)}, {1, 2, 3, 4}}};
    changes.released = {{1, granted_, {}}};
    tell(CacheUpdate{1, changes, 0});
  }

  test::ManualSystem system_;
  TimeNs now_ = 1;
  caf::actor matcher_, scheduler_, evictor_;
  std::vector<schedule::MatchedSequence> matched_;
  std::vector<BlockId> granted_;
  std::vector<RequestId> cancelled_;
  std::vector<Kind> touches_;
};

TEST_F(PrefixMatcherTest, GivesUpWhatHasExpiredThoughNobodyAsks) {
  serve();
  EXPECT_EQ(touches_, (std::vector<Kind>{Kind::published, Kind::idle}));
  system_.let_pass(std::chrono::seconds(1));
  EXPECT_EQ(touches_.size(), 2U);
  now_ += kHour + 1;
  system_.let_pass(std::chrono::seconds(1));
  EXPECT_EQ(touches_, (std::vector<Kind>{Kind::published, Kind::idle, Kind::forgotten}));
}

TEST_F(PrefixMatcherTest, PassesACancelOnAfterItsRequest) {
  tell(TokenizedRequest{1, request()}, CancelRequests{1, {1}});
  EXPECT_EQ(matched_.size(), 1U);
  EXPECT_EQ(cancelled_, std::vector<RequestId>{1});
}

}  // namespace
}  // namespace headwater::actors
