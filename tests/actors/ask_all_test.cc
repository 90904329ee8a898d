#include "actors/ask_all.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "tests/actors/handler_actor.h"

namespace headwater::actors {
namespace {

/// Lets nobody go on before two have come.
class Meeting {
 public:
  /// Whether the other came.
  bool wait() {
    std::unique_lock lock(mutex_);
    ++here_;
    changed_.notify_all();
    return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return here_ >= 2; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int here_ = 0;
};

TEST(AskAll, AsksAllBeforeItWaitsForAny) {
  caf::actor_system_config config;
  caf::actor_system system(config);
  Meeting meeting;
  const auto answers = [&](caf::event_based_actor*) -> caf::behavior { return {[&](int) { return meeting.wait(); }}; };
  const std::vector<caf::actor> actors{system.spawn<test::HandlerActor, caf::detached>(answers),
                                       system.spawn<test::HandlerActor, caf::detached>(answers)};
  int met = 0;
  ask_all<bool>(system, actors, caf::infinite, 1, [&](bool both) { met += both ? 1 : 0; });
  EXPECT_EQ(met, 2);
}

}  // namespace
}  // namespace headwater::actors
