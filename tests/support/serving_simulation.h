#pragma once
// Scheduler, prefix cache and evictor wired as their actors wire them, with a simulated executor, over
// messages that are delivered in a random order (first in, first out for each pair).

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cache/eviction.h"
#include "cache/prefix_cache.h"
#include "schedule/scheduler.h"
#include "tests/support/simulated_executor.h"

namespace headwater::test {

struct SimulationOptions {
  schedule::SchedulerOptions scheduler;
  bool cache_enabled = true;
  double match_threshold = 0.8;
  cache::RetentionOptions retention{};
  cache::Keep keep{};             ///< of every request
  bool slow_executor = false;     ///< a step's result comes last of all that is under way
  bool tier = false;              ///< blocks go to a slower tier and come back from there, as chance has it
  cache::WindowOptions window{};  ///< in units of what a block takes
  TokenId end_token = -1;         ///< ends an answer; tokens are 0 … 49
  std::uint64_t seed = 1;
};

class ServingSimulation {
 public:
  explicit ServingSimulation(const SimulationOptions& options)
      : options_(options),
        random_(options.seed),
        scheduler_(with_window(options)),
        cache_({options.scheduler.total_blocks,
                options.scheduler.grid,
                options.cache_enabled,
                options.match_threshold,
                {},
                options.retention,
                options.window}),
        evictor_(cache::make_policy("lru", options.scheduler.total_blocks).value(), options.scheduler.total_blocks) {}

  /// A request under way from the tokenizer. `scores`: it wants log-probabilities of its prompt.
  RequestId submit(ConnectionId connection, std::vector<TokenId> prompt, std::uint32_t max_new,
                   const std::string& salt = "", bool scores = false) {
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = next_id_++;
    request->connection = connection;
    request->prompt = std::move(prompt);
    request->max_new_tokens = max_new;
    request->request.cache_salt = salt;
    if (scores) request->request.params.prompt_logprobs = 0;
    endings_[request->id].request = request;
    post(kTokenizer, kMatcher, [this, request] {
      match(request, request->prompt);
      report_touches();
    });
    return request->id;
  }
  /// A cancel takes the path of its request.
  void cancel(RequestId id) {
    if (endings_.at(id).times == 0) endings_.at(id).cancelled = true;
    post(kTokenizer, kMatcher, [this, id] {
      post(kMatcher, kScheduler, [this, id] {
        scheduler_.cancel(id);
        proceed();
      });
    });
  }
  /// The executor reports an error with the request's next entry.
  void fail(RequestId id) { executor_.fail(id); }

  /// Delivers one message, chosen at random; false: there is none.
  bool deliver() {
    std::vector<std::pair<int, int>> ready, last;
    for (const auto& [ends, queue] : channels_) {
      if (!queue.empty()) (options_.slow_executor && ends.first == kExecutor ? last : ready).push_back(ends);
    }
    if (ready.empty()) ready = last;
    if (ready.empty()) return false;
    auto& queue = channels_[ready[random_() % ready.size()]];
    const auto message = std::move(queue.front());
    queue.pop_front();
    ++now_;
    message();
    if (const std::string wrong = cache_.check(); !wrong.empty()) faults_.add(wrong);
    return faults_.empty();
  }
  /// Delivers until nothing is under way or something is wrong. False: it has not come to rest.
  bool run(std::uint64_t limit = 200'000) {
    for (std::uint64_t i = 0; i < limit; ++i) {
      if (!deliver()) return true;
    }
    faults_.add("no rest after " + std::to_string(limit) + " messages");
    return false;
  }

  const std::map<RequestId, Ending>& endings() const { return endings_; }
  const Ending& ending(RequestId id) const { return endings_.at(id); }
  const std::vector<TokenId>& answer(RequestId id) const { return ending(id).generated; }
  const std::vector<schedule::StepPlan>& plans() const { return plans_; }
  const SimulationOptions& options() const { return options_; }
  schedule::Scheduler& scheduler() { return scheduler_; }
  const std::vector<std::string>& faults() const { return faults_.all; }
  const cache::PrefixCache& cache() const { return cache_; }
  const schedule::Scheduler& scheduler() const { return scheduler_; }
  std::uint64_t computed_rows() const { return executor_.computed_rows(); }
  std::uint64_t copies() const { return executor_.copies(); }
  std::uint64_t restored_blocks() const { return executor_.restored_blocks(); }
  std::size_t executor_sequences() const { return executor_.sequences(); }
  std::mt19937_64& random() { return random_; }

  std::uint64_t refills() const { return executor_.refills(); }
  std::uint64_t given_back() const { return executor_.given_back(); }

 private:
  static schedule::SchedulerOptions with_window(const SimulationOptions& options) {
    schedule::SchedulerOptions scheduler = options.scheduler;
    scheduler.window = options.window;
    return scheduler;
  }
  enum Place : int { kTokenizer, kMatcher, kEvictor, kScheduler, kExecutor, kTier };
  void post(Place from, Place to, std::function<void()> message) {
    channels_[{from, to}].push_back(std::move(message));
  }
  // ---- prefix matcher and evictor ----

  void match(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens) {
    const bool use_cache = !request->request.params.prompt_logprobs.has_value();
    cache_.advance(now_);
    cache::MatchResult found = cache_.match(request->id, tokens, request->request.cache_salt, use_cache, options_.keep);
    std::vector<cache::BlockName> chain;
    if (options_.tier && use_cache && !found.refills(options_.scheduler.grid)) {
      chain = cache_.beyond(request->id, tokens, [this](const cache::Key& key) { return tier_.contains(key); });
      chain.resize(random_() % (chain.size() + 1));
    }
    if (chain.empty()) {
      hand_on(request, tokens, std::move(found), {});
    } else {
      // The prompt waits while others go on; the answer comes sometime.
      post(kMatcher, kTier, [this, request, tokens, found, chain] {
        post(kTier, kMatcher, [this, request, tokens, found, chain] { load(request, tokens, found, chain); });
      });
    }
  }
  void hand_on(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens, cache::MatchResult found,
               std::vector<cache::BlockBytes> restored) {
    tell_given_back();
    const schedule::MatchedSequence sequence{
        request,           tokens, std::move(found.blocks), found.cached_tokens, found.details, std::move(restored),
        found.first_window};
    post(kMatcher, kScheduler, [this, sequence] {
      scheduler_.add(sequence);
      proceed();
    });
  }
  void load(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens, cache::MatchResult found,
            const std::vector<cache::BlockName>& chain) {
    cache_.add_restored(found, request->id, tokens, static_cast<std::uint32_t>(chain.size()));
    std::vector<cache::BlockBytes> restored;
    for (const auto& name : chain) restored.push_back(tier_.at(name.key));
    hand_on(request, tokens, std::move(found), std::move(restored));
    report_touches();
  }
  void tell_given_back() {
    if (auto back = cache_.take_given_back(); !back.empty()) {
      post(kMatcher, kScheduler, [this, back] { scheduler_.give_back(back); });
    }
  }
  /// Chance decides what is worth it; what is idle goes there as well.
  bool takes_save(const cache::CachedBlock& block) {
    return options_.tier && block.complete && block.tokens.size() == options_.scheduler.grid.size(block.depth) &&
           random_() % 3 > 0;
  }
  void report_touches() {
    tell_given_back();
    auto touches = cache_.take_touches();
    if (touches.empty()) return;
    std::vector<schedule::BlockSave> saves;
    for (const cache::Touch& touch : touches) {
      if (touch.kind != cache::Touch::Kind::idle || !cache_.idle(touch.block)) continue;
      const auto block = cache_.describe(touch.block);
      if (takes_save(block)) saves.push_back({block.block, block.name()});
    }
    if (!saves.empty()) {
      post(kMatcher, kScheduler, [this, saves = std::move(saves)] {
        scheduler_.save(saves);
        proceed();
      });
    }
    post(kMatcher, kEvictor, [this, touches = std::move(touches)] { evictor_.on_touches(touches, now_); });
  }
  void demand(Place from, std::uint32_t n, bool again) {
    post(from, kEvictor, [this, n, again] {
      post(kEvictor, kMatcher,
           [this, n, again, victims = evictor_.victims(n * cache::victims_for_one(options_.window))] {
             reclaim(n, victims, again);
           });
    });
  }
  void reclaim(std::uint32_t asked, const std::vector<BlockId>& victims, bool again) {
    cache_.advance(now_);
    std::vector<schedule::BlockSave> saves;
    const auto blocks = cache_.reclaim(asked, victims, [&](const cache::CachedBlock& block) {
      if (takes_save(block)) saves.push_back({block.block, block.name()});
    });
    report_touches();
    if (blocks.empty() && !again && cache_.counts().cached > 0) {
      demand(kMatcher, asked, true);
      return;
    }
    for (BlockId block : blocks) {
      if (in_flight_blocks_.contains(block))
        faults_.add("block " + std::to_string(block) + " was granted during its step");
    }
    post(kMatcher, kScheduler, [this, blocks, asked, saves] {
      demand_under_way_ = false;
      scheduler_.on_grant(blocks, asked, saves);
      proceed();
    });
  }

  // ---- scheduler ----

  void proceed() {
    schedule::SchedulerOutput output = scheduler_.poll(now_);
    if (const schedule::CacheChanges& changes = output; !changes.empty()) {
      post(kScheduler, kMatcher, [this, output] {
        cache_.advance(now_);
        for (const auto& filled : output.filled) cache_.publish(filled.id, filled.blocks, filled.tokens);
        cache_.pass(output.passed);
        for (const auto& released : output.released) {
          cache_.release(released.id, released.blocks, released.tail, released.windows);
        }
        cache_.release_copied(output.copied);
        for (const auto& refill : output.refills) cache_.refill(refill.granted, refill.block);
        cache_.give_back(output.returned);
        for (const auto& rematch : output.rematch) match(rematch.request, rematch.tokens);
        report_touches();
      });
    }
    if (output.demand > 0) {
      if (demand_under_way_) faults_.add("two demands are under way");
      demand_under_way_ = true;
      demand(kScheduler, output.demand, false);
    }
    if (!output.plan) return;
    if (step_in_flight_) faults_.add("two steps are in flight");
    step_in_flight_ = true;
    note_blocks(*output.plan);
    plans_.push_back(*output.plan);
    post(kScheduler, kExecutor, [this, plan = *output.plan] { step(plan); });
  }
  void note_blocks(const schedule::StepPlan& plan) {
    for (RequestId id : plan.retired) tables_.erase(id);
    for (const auto& start : plan.starts) tables_[start.request->id] = start.blocks;
    for (const auto& entry : plan.entries) {
      auto& table = tables_[entry.id];
      table.insert(table.end(), entry.new_blocks.begin(), entry.new_blocks.end());
      in_flight_blocks_.insert(table.begin(), table.end());
    }
    for (const auto& start : plan.starts) {
      if (start.copy) in_flight_blocks_.insert(start.copy->from);
    }
  }

  // ---- executor ----

  void step(const schedule::StepPlan& plan) {
    std::vector<SimulatedExecutor::Saved> saved;
    const schedule::StepResult result = executor_.step(plan, saved);
    for (const auto& block : saved) {
      post(kExecutor, kTier, [this, block] { tier_[block.key] = block.bytes; });
    }
    post(kExecutor, kScheduler, [this, result] {
      step_in_flight_ = false;
      in_flight_blocks_.clear();
      scheduler_.on_result(result);
      proceed();
    });
  }

  SimulationOptions options_;
  std::mt19937_64 random_;
  schedule::Scheduler scheduler_;
  cache::PrefixCache cache_;
  cache::Evictor evictor_;
  std::map<std::pair<int, int>, std::deque<std::function<void()>>> channels_;
  bool demand_under_way_ = false, step_in_flight_ = false;

  std::map<RequestId, std::vector<BlockId>> tables_;
  std::set<BlockId> in_flight_blocks_;
  std::map<RequestId, Ending> endings_;
  Faults faults_;
  SimulatedExecutor executor_{with_window(options_), options_.end_token, endings_, faults_};
  std::vector<schedule::StepPlan> plans_;
  std::map<cache::Key, cache::BlockBytes> tier_;
  RequestId next_id_ = 1;
  TimeNs now_ = 1;
};

/// Whatever a simulation that has come to rest must have reached.
inline void expect_all_ended(const ServingSimulation& simulation) {
  for (const std::string& fault : simulation.faults()) ADD_FAILURE() << fault;
  std::uint64_t queried = 0, cached = 0, copied = 0;
  for (const auto& [id, ending] : simulation.endings()) {
    if (ending.scheduled_at > 0 && ending.details.miss != CacheMiss::bypassed) queried += ending.request->prompt.size();
    cached += ending.cached_tokens;
    copied += ending.details.copied_tokens;
    EXPECT_LE(ending.times, 1U) << "request " << id;
    if (ending.cancelled || ending.failed) continue;
    EXPECT_EQ(ending.times, 1U) << "request " << id;
    EXPECT_EQ(ending.generated,
              undisturbed_answer(ending.request->prompt, ending.request->max_new_tokens, simulation.options().end_token,
                                 simulation.options().scheduler.draft_tokens > 0))
        << "request " << id;
  }
  // Each request counts once, however often it was matched.
  const schedule::PrefixCounters prefix = simulation.scheduler().counters().prefix;
  EXPECT_EQ(prefix.query_tokens, queried);
  EXPECT_EQ(prefix.hit_tokens, cached);
  EXPECT_EQ(prefix.copied_tokens, copied);
  const cache::BlockCounts counts = simulation.cache().counts();
  EXPECT_EQ(counts.active, 0U);
  EXPECT_EQ(counts.free + counts.cached, counts.total);
  EXPECT_EQ(simulation.cache().check(), "");
  EXPECT_TRUE(simulation.scheduler().idle());
  EXPECT_EQ(simulation.executor_sequences(), 0U);
  EXPECT_EQ(simulation.scheduler().counters().running + simulation.scheduler().counters().waiting, 0U);
}

}  // namespace headwater::test
