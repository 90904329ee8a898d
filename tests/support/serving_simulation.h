#pragma once
// Scheduler, prefix cache and evictor wired as their actors wire them, with a simulated executor, over
// messages that are delivered in a random order (first in, first out for each pair). The executor keeps for every
// place of every block a digest of all that led to it (tenant and tokens), so that a block that is reused too early,
// shared between tenants or filled with something else is found the moment it is read.

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

namespace headwater::test {

using schedule::BlockId;

inline std::uint64_t mix(std::uint64_t digest, std::uint64_t value) {
  digest = (digest ^ value) * 0x9E3779B97F4A7C15ULL;
  return digest ^ (digest >> 29);
}

/// The simulated model: the token after `tokens`.
inline TokenId next_token(const std::vector<TokenId>& tokens) {
  std::uint64_t digest = 7;
  for (TokenId token : tokens) digest = mix(digest, static_cast<std::uint64_t>(token));
  return static_cast<TokenId>(digest % 50);
}

/// What the simulated model generates when nothing interferes.
inline std::vector<TokenId> undisturbed_answer(std::vector<TokenId> prompt, std::uint32_t max_new,
                                               TokenId end_token = -1) {
  std::vector<TokenId> answer;
  while (answer.size() < max_new && (answer.empty() || answer.back() != end_token)) {
    answer.push_back(next_token(prompt));
    prompt.push_back(answer.back());
  }
  return answer;
}

struct SimulationOptions {
  schedule::SchedulerOptions scheduler;
  bool cache_enabled = true;
  double match_threshold = 0.8;
  cache::RetentionOptions retention{};
  cache::Keep keep{};          ///< of every request
  bool slow_executor = false;  ///< a step's result comes last of all that is under way
  bool tier = false;           ///< blocks go to a slower tier and come back from there, as chance has it
  TokenId end_token = -1;      ///< ends an answer; tokens are 0 … 49
  std::uint64_t seed = 1;
};

/// What became of a request.
struct Ending {
  schedule::RequestPtr request;
  std::uint32_t times = 0;
  bool cancelled = false;
  bool failed = false;
  std::vector<TokenId> generated;
  std::uint32_t cached_tokens = 0;
  CacheDetails details;
  schedule::TimeNs scheduled_at = 0;
};

class ServingSimulation {
 public:
  explicit ServingSimulation(const SimulationOptions& options)
      : options_(options),
        random_(options.seed),
        scheduler_(options.scheduler),
        cache_({options.scheduler.total_blocks,
                options.scheduler.block_tokens,
                options.cache_enabled,
                options.match_threshold,
                {},
                options.retention}),
        evictor_(cache::make_policy("lru", options.scheduler.total_blocks).value(), options.scheduler.total_blocks),
        arena_(std::size_t{options.scheduler.total_blocks} * options.scheduler.block_tokens) {}

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
  void fail(RequestId id) { failing_.insert(id); }

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
    if (const std::string wrong = cache_.check(); !wrong.empty()) fault(wrong);
    return faults_.empty();
  }
  /// Delivers until nothing is under way or something is wrong. False: it has not come to rest.
  bool run(std::uint64_t limit = 200'000) {
    for (std::uint64_t i = 0; i < limit; ++i) {
      if (!deliver()) return true;
    }
    fault("no rest after " + std::to_string(limit) + " messages");
    return false;
  }

  const std::map<RequestId, Ending>& endings() const { return endings_; }
  const Ending& ending(RequestId id) const { return endings_.at(id); }
  const std::vector<TokenId>& answer(RequestId id) const { return ending(id).generated; }
  const std::vector<schedule::StepPlan>& plans() const { return plans_; }
  const SimulationOptions& options() const { return options_; }
  schedule::Scheduler& scheduler() { return scheduler_; }
  const std::vector<std::string>& faults() const { return faults_; }
  const cache::PrefixCache& cache() const { return cache_; }
  const schedule::Scheduler& scheduler() const { return scheduler_; }
  std::uint64_t computed_rows() const { return computed_rows_; }
  std::uint64_t copies() const { return copies_; }
  std::uint64_t restored_blocks() const { return restored_; }
  std::size_t executor_sequences() const { return executing_.size(); }
  std::mt19937_64& random() { return random_; }

 private:
  enum Place : int { kTokenizer, kMatcher, kEvictor, kScheduler, kExecutor, kTier };
  struct Executing {
    schedule::RequestPtr request;
    std::vector<TokenId> tokens;
    std::vector<BlockId> blocks;
    std::uint32_t computed = 0;
    bool copied = false;  ///< it begins with a copy of a block
  };

  void post(Place from, Place to, std::function<void()> message) {
    channels_[{from, to}].push_back(std::move(message));
  }
  void fault(std::string what) { faults_.push_back(std::move(what)); }
  void expect(bool holds, RequestId id, const char* what) {
    if (!holds) fault("request " + std::to_string(id) + ": " + what);
  }

  // ---- prefix matcher and evictor ----

  void match(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens) {
    const bool use_cache = !request->request.params.prompt_logprobs.has_value();
    cache_.advance(now_);
    cache::MatchResult found = cache_.match(request->id, tokens, request->request.cache_salt, use_cache, options_.keep);
    std::vector<cache::BlockName> chain;
    if (options_.tier && use_cache) {
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
    const schedule::MatchedSequence sequence{
        request, tokens, std::move(found.blocks), found.cached_tokens, found.details, std::move(restored)};
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
  /// Chance decides what is worth it; what is idle goes there as well.
  bool takes_save(const cache::CachedBlock& block) {
    return options_.tier && block.tokens.size() == options_.scheduler.block_tokens && random_() % 3 > 0;
  }
  void report_touches() {
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
      post(kEvictor, kMatcher, [this, n, again, victims = evictor_.victims(n)] { reclaim(n, victims, again); });
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
      if (in_flight_blocks_.contains(block)) fault("block " + std::to_string(block) + " was granted during its step");
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
    if (!output.filled.empty() || !output.released.empty() || !output.copied.empty() || !output.returned.empty() ||
        !output.rematch.empty()) {
      post(kScheduler, kMatcher, [this, output] {
        cache_.advance(now_);
        for (const auto& filled : output.filled) cache_.publish(filled.id, filled.blocks, filled.tokens);
        for (const auto& released : output.released) cache_.release(released.id, released.blocks, released.tail);
        cache_.release_copied(output.copied);
        cache_.give_back(output.returned);
        for (const auto& rematch : output.rematch) match(rematch.request, rematch.tokens);
        report_touches();
      });
    }
    if (output.demand > 0) {
      if (demand_under_way_) fault("two demands are under way");
      demand_under_way_ = true;
      demand(kScheduler, output.demand, false);
    }
    if (!output.plan) return;
    if (step_in_flight_) fault("two steps are in flight");
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
    for (const auto& save : plan.saves) read_out(save);
    for (RequestId id : plan.retired) expect(executing_.erase(id) == 1, id, "retired and not known");
    for (const auto& start : plan.starts) begin(start);
    schedule::StepResult result{plan.epoch, plan.step, plan.starts, {}, plan.retired, 1, 0};
    expect(plan.entries.size() <= options_.scheduler.max_batch_size, 0, "too many sequences in a step");
    for (const auto& entry : plan.entries) {
      result.entries.push_back(compute(entry));
      result.rows += entry.count;
    }
    expect(result.rows <= options_.scheduler.max_step_tokens, 0, "too many rows in a step");
    post(kExecutor, kScheduler, [this, result] {
      step_in_flight_ = false;
      in_flight_blocks_.clear();
      scheduler_.on_result(result);
      proceed();
    });
  }
  void begin(const schedule::SequenceStart& start) {
    const RequestId id = start.request->id;
    expect(!executing_.contains(id), id, "started twice");
    Ending& ending = endings_.at(id);
    if (ending.scheduled_at == 0) {
      ending.scheduled_at = start.scheduled_at;
      ending.cached_tokens = start.cached_tokens;
      ending.details = start.details;
      expect(start.cached_tokens + start.details.missed_tokens + 1 == start.request->prompt.size(), id,
             "is told of other tokens than its prompt's");
      expect(start.details.miss != CacheMiss::none || start.details.missed_tokens == 0, id,
             "misses tokens without a reason");
    }
    expect(ending.scheduled_at == start.scheduled_at, id, "has lost the time of its first start");
    expect(ending.cached_tokens == start.cached_tokens && ending.details == start.details, id,
           "has lost what was cached at its first start");
    executing_[id] = {start.request, start.tokens, start.blocks, 0, start.copy.has_value()};
    if (start.copy) copy(id, *start.copy);
    for (const auto& restore : start.restores) {
      expect(owners(restore.block) == 1, id, "restores into a block that others read");
      ++restored_;
      std::ranges::copy(restore.bytes->bytes(), std::as_writable_bytes(places(restore.block)).begin());
    }
  }
  std::span<std::uint64_t> places(BlockId block) {
    const std::size_t size = options_.scheduler.block_tokens;
    return std::span(arena_).subspan(static_cast<std::size_t>(block) * size, size);
  }
  void read_out(const schedule::BlockSave& save) {
    const auto bytes = std::as_bytes(places(save.block));
    auto buffer = std::make_shared<cache::ByteBuffer>(bytes.size());
    std::ranges::copy(bytes, buffer->bytes().begin());
    post(kExecutor, kTier, [this, key = save.name.key, buffer] { tier_[key] = buffer; });
  }
  void copy(RequestId id, const schedule::BlockCopy& copy) {
    expect(owners(copy.to) == 1, id, "copies into a block that others read");
    ++copies_;
    const std::size_t size = options_.scheduler.block_tokens;
    for (std::size_t i = 0; i < size; ++i) {
      arena_.at(static_cast<std::size_t>(copy.to) * size + i) =
          arena_.at(static_cast<std::size_t>(copy.from) * size + i);
    }
  }
  schedule::EntryResult compute(const schedule::StepEntry& entry) {
    schedule::EntryResult result;
    result.id = entry.id;
    const auto found = executing_.find(entry.id);
    if (found == executing_.end()) {
      expect(false, entry.id, "has an entry and was not started");
      return result;
    }
    Executing& sequence = found->second;
    sequence.blocks.insert(sequence.blocks.end(), entry.new_blocks.begin(), entry.new_blocks.end());
    const std::uint32_t end = entry.first + entry.count, size = options_.scheduler.block_tokens;
    expect(entry.count > 0, entry.id, "has an empty entry");
    expect(entry.count <= options_.scheduler.prefill_chunk, entry.id, "has too large a chunk");
    expect(sequence.computed == 0 || entry.first == sequence.computed, entry.id, "leaves tokens out");
    expect(sequence.computed > 0 || (entry.first % size != 0) == sequence.copied, entry.id,
           "begins within a block that it has not copied, or copies one for nothing");
    if (end > sequence.tokens.size() || end > sequence.blocks.size() * size) {
      expect(false, entry.id, "computes tokens or writes places that it does not have");
      return result;
    }
    touch_places(sequence, entry.first, end);
    computed_rows_ += entry.count;
    sequence.computed = end;
    result.computed = entry.count;
    answer(sequence, entry, result);
    return result;
  }
  /// Reads the places before `first`, writes those up to `end`.
  void touch_places(const Executing& sequence, std::uint32_t first, std::uint32_t end) {
    std::uint64_t digest = 1;
    for (char letter : sequence.request->request.cache_salt) digest = mix(digest, static_cast<unsigned char>(letter));
    for (std::uint32_t p = 0; p < end; ++p) {
      digest = mix(digest, static_cast<std::uint64_t>(sequence.tokens[p]) + 1);
      const BlockId block = sequence.blocks[p / options_.scheduler.block_tokens];
      std::uint64_t& place = arena_.at(static_cast<std::size_t>(block) * options_.scheduler.block_tokens +
                                       p % options_.scheduler.block_tokens);
      if (p < first) {
        expect(place == digest, sequence.request->id, "reads a block that does not hold its tokens");
      } else {
        expect(owners(block) == 1, sequence.request->id, "writes into a block that others read");
        place = digest;
      }
    }
  }
  std::size_t owners(BlockId block) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        executing_, [&](const auto& one) { return std::ranges::count(one.second.blocks, block) > 0; }));
  }
  void answer(Executing& sequence, const schedule::StepEntry& entry, schedule::EntryResult& result) {
    const schedule::AdmittedRequest& request = *sequence.request;
    Ending& ending = endings_.at(entry.id);
    const bool whole = sequence.computed == sequence.tokens.size();
    expect(entry.sample == (whole && request.max_new_tokens > 0), entry.id, "samples at the wrong place");
    if (failing_.erase(entry.id) > 0) {
      result.error = "bad logits";
      ending.failed = true;
    } else if (entry.sample) {
      result.sampled = true;
      result.token = next_token(sequence.tokens);
      sequence.tokens.push_back(result.token);
      ending.generated.push_back(result.token);
      if (result.token == options_.end_token) result.finish = FinishReason::stop;
      if (ending.generated.size() >= request.max_new_tokens) result.finish = FinishReason::length;
    } else if (whole) {
      result.finish = FinishReason::length;
    }
    if (!result.error.empty() || result.finish != FinishReason::none) ++ending.times;
  }

  SimulationOptions options_;
  std::mt19937_64 random_;
  schedule::Scheduler scheduler_;
  cache::PrefixCache cache_;
  cache::Evictor evictor_;
  std::map<std::pair<int, int>, std::deque<std::function<void()>>> channels_;
  bool demand_under_way_ = false, step_in_flight_ = false;

  std::map<RequestId, Executing> executing_;
  std::map<RequestId, std::vector<BlockId>> tables_;
  std::set<BlockId> in_flight_blocks_;
  std::vector<std::uint64_t> arena_;  ///< [block, block_tokens]
  std::map<RequestId, Ending> endings_;
  std::set<RequestId> failing_;
  std::vector<std::string> faults_;
  std::vector<schedule::StepPlan> plans_;
  std::map<cache::Key, cache::BlockBytes> tier_;
  std::uint64_t computed_rows_ = 0, copies_ = 0, restored_ = 0;
  RequestId next_id_ = 1;
  schedule::TimeNs now_ = 1;
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
    EXPECT_EQ(ending.generated, undisturbed_answer(ending.request->prompt, ending.request->max_new_tokens,
                                                   simulation.options().end_token))
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
