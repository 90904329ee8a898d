// The disk tier among the stages, on a store that fails, hangs and damages as it is told.

#include "actors/cache_tier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "tests/actors/graph_fixture.h"
#include "tests/cache/tier/fake_store.h"

namespace headwater::test {
namespace {

using Kind = TokenEvent::Kind;
using State = TierStats::State;

constexpr std::uint32_t kAnswer = 4;
constexpr std::size_t kPrompt = 81;  ///< ten blocks and the token that is always computed

/// A pool that holds one prompt and a little more, so that the next one drives it out.
class CacheTier : public testing::Test {
 protected:
  CacheTier() {
    options_.total_blocks = 14;
    options_.context = 112;
    options_.extra_stage = "  - { id: disk, kind: cache_tier, impl: fake, feedback: [match] }\n";
    options_.clock = [this] { return now_.load(); };
    start();
  }
  ~CacheTier() override { go_on(); }

  void start() {
    client_.reset();
    graph_.reset();
    actors::StageRegistry registry = actors::builtin_stages();
    topology::StageInfo info;
    info.kind = "cache_tier";
    info.impl = "fake";
    info.single = true;
    info.feedback_to = {"prefix_matcher"};
    const auto make_store = [this](const actors::StageContext&) {
      return std::make_unique<cache::FakeStore>(faults_, records_);
    };
    const auto spawn = [make_store, hung_after = hung_after_](caf::actor_system& system,
                                                              const actors::StageContext& context) {
      return actors::spawn_cache_tier(system, context, make_store, hung_after);
    };
    ASSERT_TRUE(registry.add({info, spawn}).ok());
    graph_ = std::make_unique<Graph>(options_, registry);
    client_ = graph_->runtime().connect(log_.handler());
  }

  TierStats tier() { return graph_->runtime().stats().tier.value(); }

  void wait_for(State state) {
    wait_until([&] { return tier().state == state; });
  }

  RequestId submit(std::uint32_t seed) { return client_->submit(ask(prompt_of(seed, kPrompt), kAnswer))->id; }
  /// Asks, and checks the answer. Gives the tokens that were not computed.
  std::uint32_t ask_for(std::uint32_t seed) {
    const Outcome outcome = log_.wait(submit(seed));
    EXPECT_EQ(outcome.last().kind, Kind::finished);
    source_ = outcome.last().usage.cache.source;
    EXPECT_EQ(outcome.tokens(), FakeModel::answer(prompt_of(seed, kPrompt), kAnswer));
    graph_->idle_stats();
    return outcome.last().usage.cached_tokens;
  }
  /// What is asked for twice is worth saving; another prompt then drives it out of memory.
  void save(std::uint32_t seed) {
    wait_until([&] { return tier().state != State::off; });
    const std::uint64_t before = tier().saved_blocks;
    ask_for(seed);
    ask_for(seed);
    wait_until([&] { return tier().saved_blocks >= before + 10; });
    ask_for(seed + 1000);
  }
  /// A load may come too late on a machine that is busy; the tier is then tried again after a while.
  void expect_hit(std::uint32_t seed) {
    const std::uint64_t before = tier().hit_tokens;
    wait_until([&] {
      now_ += 100'000'000'000;
      const std::uint32_t cached = ask_for(seed);
      if (tier().hit_tokens == before || cached < 80) {  // not in time, or not all of it
        ask_for(seed + 1000);
        return false;
      }
      EXPECT_EQ(source_, CacheSource::disk);
      return true;
    });
  }

  /// Reads hang until go_on().
  void hang() {
    gate_ = std::promise<void>();
    open_ = gate_.get_future().share();
    faults_->before_get = [this, open = open_] {
      hung_ = true;
      open.wait();
    };
  }
  void go_on() {
    if (hung_ && open_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) gate_.set_value();
  }

  GraphOptions options_;
  std::chrono::milliseconds hung_after_ = std::chrono::seconds(10);
  std::atomic<TimeNs> now_{1};  ///< time stands still but for the test
  std::shared_ptr<cache::Faults> faults_ = std::make_shared<cache::Faults>();
  std::shared_ptr<cache::FakeStore::Records> records_ = std::make_shared<cache::FakeStore::Records>();
  std::promise<void> gate_;
  std::shared_future<void> open_;
  std::atomic<bool> hung_{false};
  CacheSource source_ = CacheSource::none;  ///< of the latest answer
  EventLog log_;
  std::unique_ptr<Graph> graph_;
  std::unique_ptr<Client> client_;
};

TEST_F(CacheTier, GivesBackWhatMemoryHasGivenUp) {
  save(1);
  expect_hit(1);
  const Stats stats = graph_->idle_stats();
  EXPECT_EQ(stats.tier->mismatches + stats.tier->errors, 0U);
  EXPECT_EQ(log_.violations(), 0);
  graph_->expect_settled();
}

TEST_F(CacheTier, SavesNothingThatWasAskedForOnce) {
  wait_for(State::on);
  for (std::uint32_t seed = 1; seed <= 5; ++seed) ask_for(seed);
  EXPECT_EQ(tier().saved_blocks, 0U);
  EXPECT_EQ(faults_->puts, 0);
}

TEST_F(CacheTier, FindsAgainAfterARestartWhatWasSaved) {
  save(1);
  start();
  wait_for(State::on);
  EXPECT_GE(tier().blocks, 10U);
  expect_hit(1);
}

TEST_F(CacheTier, StopsSavingToAFullDiskAndGoesOnOnceThereIsRoom) {
  save(1);
  faults_->put_fails = true;
  ask_for(2);
  ask_for(2);
  wait_for(State::degraded);
  const int puts = faults_->puts;
  for (std::uint32_t seed = 3; seed < 13; ++seed) {
    ask_for(seed);
    ask_for(seed);
  }
  // What was handed over before may still be tried: ten blocks, each offered twice at most. These prompts have a
  // hundred.
  EXPECT_LE(faults_->puts, puts + 20) << "it is left alone for a while";
  expect_hit(1);  // it reads all the same
  faults_->put_fails = false;
  const std::uint64_t saved = tier().saved_blocks;
  wait_until([&] {  // on a machine that is busy a load may come too late, which stops loads for a while
    now_ += 100'000'000'000;
    ask_for(4);
    ask_for(4);
    ask_for(5);
    return tier().saved_blocks > saved && tier().state == State::on;
  });
  graph_->expect_settled();
}

TEST_F(CacheTier, ServesWithoutAStoreThatCannotBeOpenedAndTriesAgain) {
  save(1);
  faults_->open_fails = true;
  start();
  wait_until([&] { return tier().errors == 1; });
  EXPECT_EQ(tier().state, State::off);
  EXPECT_EQ(ask_for(1), 0U);
  EXPECT_EQ(faults_->opens, 2) << "not at once";
  faults_->open_fails = false;
  now_ += 100'000'000'000;
  ask_for(2);
  wait_for(State::on);
  expect_hit(1);
}

TEST_F(CacheTier, DoesNotWaitForAReadThatHangs) {
  hang();
  save(1);
  ask_for(1);  // computed: the read has not come
  EXPECT_TRUE(hung_);
  EXPECT_EQ(tier().late_loads, 1U);
  EXPECT_EQ(tier().hit_tokens, 0U);
  EXPECT_EQ(tier().state, State::degraded);
  ask_for(2);
  ask_for(1001);
  EXPECT_EQ(tier().late_loads, 1U) << "nobody else waits";
  go_on();
  expect_hit(1);
  EXPECT_EQ(tier().state, State::on);
  graph_->expect_settled();
}

TEST_F(CacheTier, IsOffWhileADeviceDoesNotAnswerAndOnOnceItDoes) {
  hung_after_ = std::chrono::seconds(1);
  start();
  hang();
  save(1);
  ask_for(1);
  wait_for(State::off);
  const auto flushed = graph_->runtime().flush_cache(std::nullopt);
  ASSERT_TRUE(flushed.ok());
  EXPECT_TRUE(flushed->tier_pending) << "nobody waits for it, and nothing of it is found later";
  ask_for(2);
  go_on();
  // The read is over before time passes, or it would count as a very slow one.
  wait_until([&] { return std::ranges::any_of(tier().load_seconds_counts, [](auto count) { return count > 0; }); });
  wait_until([&] {
    now_ += 100'000'000'000;
    return tier().state != State::off && tier().bytes == 0;  // degraded until a load has come in time
  });
  save(3);
  expect_hit(3);
  graph_->expect_settled();
}

TEST_F(CacheTier, DoesNotKeepARuntimeFromEndingThatHangs) {
  hang();
  save(1);
  ask_for(1);
  EXPECT_TRUE(hung_);
  client_.reset();
  graph_.reset();  // returns
  EXPECT_TRUE(hung_);
  EXPECT_NE(open_.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  go_on();  // the thread that was left behind ends, and lets go of the store
  wait_until([&] { return faults_.use_count() == 1; });
}

TEST_F(CacheTier, OpensAnewByItselfThoughNobodyAsks) {
  faults_->open_fails = true;
  start();
  wait_until([&] { return tier().errors == 1; });
  faults_->open_fails = false;
  now_ += 100'000'000'000;
  wait_for(State::on);
}

TEST_F(CacheTier, LosesNoBlockOfARequestThatIsCancelledWhileItWaits) {
  hang();
  save(1);
  const RequestId id = submit(1);
  wait_until([&] { return hung_.load(); });
  client_->cancel(id);
  EXPECT_EQ(log_.wait(id).last().kind, Kind::cancelled);
  graph_->expect_settled();
  go_on();
  ask_for(1);
  EXPECT_EQ(log_.violations(), 0);
  graph_->expect_settled();
}

TEST_F(CacheTier, ComputesWhatIsDamagedAndDeletesIt) {
  save(1);
  faults_->damages = true;
  wait_until([&] {
    now_ += 100'000'000'000;
    ask_for(1);
    ask_for(1001);
    return tier().mismatches > 0;
  });
  EXPECT_GT(faults_->erases, 0);
  EXPECT_EQ(tier().hit_tokens, 0U);
  EXPECT_EQ(tier().errors, 0U);
}

TEST_F(CacheTier, TakesExceptionsOfTheStoreForErrors) {
  save(1);
  faults_->get_throws = true;
  wait_until([&] {
    ask_for(1);
    ask_for(1001);
    return tier().errors > 0;
  });
  EXPECT_EQ(graph_->runtime().stats().stage_restarts, 0U);
}

TEST_F(CacheTier, IsStartedAnewWhenItDiesAndNoRequestFails) {
  save(1);
  graph_->kill("disk");
  wait_until([&] { return graph_->runtime().stats().stage_restarts == 1; });
  wait_until([&] { return faults_->opens == 2; });
  wait_for(State::on);
  expect_hit(1);
  graph_->expect_settled();
}

TEST_F(CacheTier, IsFoundAgainByStagesThatWereStartedAnew) {
  std::uint64_t restarts = 0;
  std::uint32_t seed = 1;
  for (const char* stage : {"match", "sched", "exec", "evict"}) {
    SCOPED_TRACE(stage);
    save(seed);
    graph_->kill(stage);
    ++restarts;
    wait_until([&] { return graph_->runtime().stats().stage_restarts == restarts; });
    wait_until([&] { return faults_->opens == static_cast<int>(restarts) + 1; });
    wait_for(State::on);
    graph_->idle_stats();
    expect_hit(seed);
    graph_->expect_settled();
    ++seed;
  }
}

TEST_F(CacheTier, IsFlushedWithMemoryAndARestartFindsNothing) {
  save(1);
  save(2);
  EXPECT_GE(graph_->runtime().cache_status()->tier->blocks, 20U);
  const auto flushed = graph_->runtime().flush_cache(std::nullopt);
  ASSERT_TRUE(flushed.ok());
  EXPECT_GE(flushed->tier_blocks.value(), 20U);
  EXPECT_FALSE(flushed->tier_pending);
  EXPECT_TRUE(records_->empty());
  EXPECT_EQ(ask_for(1), 0U);
  EXPECT_EQ(graph_->runtime().flush_cache(std::nullopt)->tier_pending, false);
  start();
  wait_for(State::on);
  EXPECT_EQ(ask_for(2), 0U);
}

TEST_F(CacheTier, IsFlushedOfOneTenant) {
  wait_for(State::on);
  const auto ask_as = [&](const char* tenant, std::uint32_t seed) {
    Request request = ask(prompt_of(seed, kPrompt), kAnswer);
    request.tenant = tenant;
    log_.wait(client_->submit(std::move(request))->id);
    graph_->idle_stats();
  };
  for (const char* tenant : {"alice", "alice", "bob", "bob"}) ask_as(tenant, 1);
  // By what is there, not by what was saved: old ones among them are saved again.
  constexpr std::uint64_t kRecordBytes = 160;
  wait_until([&] { return tier().bytes == 20 * kRecordBytes; });
  const auto held_by = [&](const std::string& tenant) {
    const auto status = graph_->runtime().cache_status();
    for (const auto& one : status->tier.value().tenants) {
      if (one.tenant == cache::tenant_digest(tenant)) return one.blocks;
    }
    return std::uint64_t{0};
  };
  EXPECT_EQ(held_by("alice"), 10U);
  EXPECT_EQ(graph_->runtime().flush_cache(cache::tenant_digest("alice"))->tier_blocks, 10U);
  EXPECT_EQ(held_by("alice"), 0U);
  EXPECT_EQ(held_by("bob"), 10U);
  EXPECT_EQ(records_->size(), 10U);
}

TEST_F(CacheTier, IsFlushedLaterWhereItCannotBeReached) {
  save(1);
  faults_->erase_fails = true;
  const auto flushed = graph_->runtime().flush_cache(std::nullopt);
  ASSERT_TRUE(flushed.ok());
  EXPECT_TRUE(flushed->tier_pending);
  wait_for(State::off);
  EXPECT_EQ(ask_for(1), 0U);
  faults_->erase_fails = false;
  now_ += 100'000'000'000;
  ask_for(1001);
  wait_for(State::on);
  wait_until([&] { return tier().bytes == 0; });
  save(2);
  expect_hit(2);
  graph_->expect_settled();
}

TEST_F(CacheTier, GivesUpWhatHasExpired) {
  options_.cache = ", cache_ttl: 10h";
  start();
  save(1);
  expect_hit(1);
  EXPECT_GT(tier().bytes, 0U);
  now_ += 36'001'000'000'000;
  EXPECT_EQ(ask_for(1), 0U);
  wait_until([&] { return tier().bytes == 0; });
}

}  // namespace
}  // namespace headwater::test
