#include "actors/stage.h"

#include <gtest/gtest.h>

#include "tests/actors/manual_system.h"

namespace headwater::actors {
namespace {

using Calls = std::vector<std::string>;

/// Writes down what is called.
class Noting : public StageActor {
 public:
  Noting(caf::actor_config& config, StageContext context, std::shared_ptr<Calls> calls)
      : StageActor(config, std::move(context)), calls_(std::move(calls)) {}

 private:
  caf::message_handler handlers() override {
    return {
        on<const BlockDemand>([this](const BlockDemand& demand) { note("demand " + std::to_string(demand.blocks)); }),
        on<const StepDone>([this](const StepDone& done) { note("step " + std::to_string(done.result.step)); }),
        on<const CacheStatusQuery>([this](const CacheStatusQuery&) {
          note("status");
          return CacheStatus{};
        }),
    };
  }
  void before_message() override { note("("); }
  void after_message() override { note(")"); }
  void on_reset() override { note("reset to " + std::to_string(epoch())); }
  void note(std::string call) { calls_->push_back(std::move(call)); }

  std::shared_ptr<Calls> calls_;
};

class StageActorTest : public testing::Test {
 protected:
  ~StageActorTest() override {
    caf::anon_send_exit(stage_, caf::exit_reason::user_shutdown);
    system_.run();
  }

  /// What a stage does that is sent these.
  template <class... Messages>
  Calls calls(const Messages&... messages) {
    calls_->clear();
    (caf::anon_send(stage_, messages), ...);
    system_.run();
    return *calls_;
  }

  test::ManualSystem system_;
  std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
  caf::actor stage_ = (*system_).spawn<Noting>(StageContext{}, calls_);
};

TEST_F(StageActorTest, BracketsEachMessageOfItsEpoch) {
  EXPECT_EQ(calls(ResetStage{1}, BlockDemand{1, 5}, BlockDemand{1, 6}),
            (Calls{"reset to 1", "(", "demand 5", ")", "(", "demand 6", ")"}));
  EXPECT_EQ(calls(CacheStatusQuery{}), (Calls{"(", "status", ")"}));
}

TEST_F(StageActorTest, DropsMessagesOfEarlierEpochsAndForgetsAllBeforeOneOfALater) {
  StepDone late, early;
  early.result.epoch = 1;
  late.result.epoch = 3;
  late.result.step = 7;
  EXPECT_EQ(calls(ResetStage{2}, BlockDemand{1, 5}, early), (Calls{"reset to 2"}));
  EXPECT_EQ(calls(late, BlockDemand{2, 5}, ResetStage{3}), (Calls{"reset to 3", "(", "step 7", ")"}));
}

}  // namespace
}  // namespace headwater::actors
