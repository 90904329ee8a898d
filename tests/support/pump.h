#pragma once
// Scheduler, prefix cache and evictor with messages between them that take a random time, and an executor that checks
// that every block holds what the sequence says.

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "cache/eviction.h"
#include "cache/prefix_cache.h"
#include "schedule/scheduler.h"

namespace headwater::test {

class Pump {
 public:
  Pump(schedule::SchedulerOptions options, unsigned seed, bool caching = true)
      : options_(options),
        random_(seed),
        cache_({.total_blocks = options.total_blocks,
                .block_tokens = options.block_tokens,
                .enabled = caching,
                .context = {}}),
        evictor_(std::move(cache::make_policy("lru", options.total_blocks)).value(), options.total_blocks),
        scheduler_(options),
        arena_(std::size_t{options.total_blocks} * options.block_tokens, -1) {}

  /// The token after `tokens`.
  static TokenId next(std::span<const TokenId> tokens) {
    std::uint64_t hash = 1469598103934665603ULL;
    for (TokenId token : tokens) hash = (hash ^ static_cast<std::uint64_t>(token)) * 1099511628211ULL;
    return static_cast<TokenId>((hash >> 20U) % 1000);
  }

  RequestId submit(ConnectionId connection, std::vector<TokenId> prompt, std::uint32_t n, std::string salt = "") {
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = next_id_++;
    request->connection = connection;
    request->prompt = std::move(prompt);
    request->max_new_tokens = n;
    request->request.cache_salt = std::move(salt);
    to_cache_.push_back([this, request] { match(request, request->prompt); });
    return request->id;
  }
  void cancel(RequestId id) {
    cancelled_[id] = true;
    // Along the path: behind the request itself.
    to_cache_.push_back([this, id] {
      to_scheduler_.push_back([this, id] {
        scheduler_.cancel(id);
        poll();
      });
    });
  }

  /// Delivers one message of a random queue. False: there is none.
  bool turn() {
    std::vector<std::deque<std::function<void()>>*> ready;
    for (auto* queue : {&to_cache_, &to_evictor_, &to_scheduler_, &to_executor_}) {
      if (!queue->empty()) ready.push_back(queue);
    }
    if (ready.empty()) return false;
    auto& queue = *ready[random_() % ready.size()];
    auto message = std::move(queue.front());
    queue.pop_front();
    message();
    if (const std::string wrong = cache_.check(); !wrong.empty()) throw std::logic_error(wrong);
    return true;
  }
  /// Delivers everything. Throws if it never ends.
  void run(std::size_t most = 2'000'000) {
    while (turn()) {
      if (most-- == 0) throw std::logic_error("the messages never end");
    }
  }

  const std::vector<TokenId>& answer(RequestId id) { return answers_[id]; }
  bool finished(RequestId id) const { return finished_.contains(id); }
  bool was_cancelled(RequestId id) const { return cancelled_.contains(id); }
  std::uint32_t cached_tokens(RequestId id) { return cached_tokens_[id]; }
  const std::vector<schedule::StepPlan>& plans() const { return plans_; }
  schedule::Scheduler& scheduler() { return scheduler_; }
  cache::PrefixCache& cache() { return cache_; }
  std::mt19937& random() { return random_; }
  std::uint64_t rows = 0;  ///< computed

 private:
  struct Running {
    schedule::RequestPtr request;
    std::vector<TokenId> tokens;
    std::vector<schedule::BlockId> blocks;
  };

  void match(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens) {
    auto found = cache_.match(request->id, tokens, request->request.cache_salt, true);
    cached_tokens_.try_emplace(request->id, found.cached_tokens);
    report_touches();
    schedule::MatchedSequence matched{request, tokens, std::move(found.blocks), found.cached_tokens};
    to_scheduler_.push_back([this, matched] {
      scheduler_.add(matched);
      poll();
    });
  }

  void report_touches() {
    auto touches = cache_.take_touches();
    if (touches.empty()) return;
    to_evictor_.push_back([this, touches] { evictor_.on_touches(touches, ++now_); });
  }

  void poll() {
    schedule::SchedulerOutput out = scheduler_.poll(++now_);
    if (!out.filled.empty() || !out.released.empty() || !out.returned.empty() || !out.rematch.empty()) {
      to_cache_.push_back([this, update = out] { apply(update); });
    }
    if (out.demand > 0) to_evictor_.push_back([this, n = out.demand] { demand(n, false); });
    if (out.plan) {
      plans_.push_back(*out.plan);
      to_executor_.push_back([this, plan = *out.plan] { execute(plan); });
    }
  }

  void apply(const schedule::SchedulerOutput& update) {
    for (const auto& blocks : update.filled) cache_.publish(blocks.id, blocks.blocks, blocks.tokens);
    for (const auto& blocks : update.released) cache_.release(blocks.id, blocks.blocks);
    cache_.give_back(update.returned);
    report_touches();
    for (const auto& again : update.rematch) match(again.request, again.tokens);
  }

  void demand(std::uint32_t n, bool again) {
    to_cache_.push_back([this, n, again, victims = evictor_.victims(n)] {
      auto blocks = cache_.reclaim(n, victims);
      report_touches();
      if (blocks.empty() && !again && cache_.counts().cached > 0) {
        to_evictor_.push_back([this, n] { demand(n, true); });
        return;
      }
      to_scheduler_.push_back([this, n, blocks] {
        scheduler_.on_grant(blocks, n);
        poll();
      });
    });
  }

  void execute(const schedule::StepPlan& plan) {
    for (RequestId id : plan.retired) running_.erase(id);
    for (const auto& start : plan.starts) running_[start.request->id] = {start.request, start.tokens, start.blocks};
    schedule::StepResult result;
    result.epoch = plan.epoch;
    result.step = plan.step;
    for (const auto& entry : plan.entries) {
      Running& sequence = running_.at(entry.id);
      sequence.blocks.insert(sequence.blocks.end(), entry.new_blocks.begin(), entry.new_blocks.end());
      rows += entry.count;
      for (std::uint32_t p = 0; p < entry.first; ++p) {
        if (slot(sequence, p) != sequence.tokens.at(p))
          throw std::logic_error("a block holds another sequence's tokens");
      }
      for (std::uint32_t p = entry.first; p < entry.first + entry.count; ++p) slot(sequence, p) = sequence.tokens.at(p);
      schedule::EntryResult outcome;
      outcome.id = entry.id;
      outcome.computed = entry.count;
      if (entry.sample) {
        outcome.sampled = true;
        outcome.token = next(sequence.tokens);
        sequence.tokens.push_back(outcome.token);
        answers_[entry.id].push_back(outcome.token);
        const auto generated = sequence.tokens.size() - sequence.request->prompt.size();
        if (generated >= sequence.request->max_new_tokens) outcome.finish = FinishReason::length;
      }
      if (outcome.finish != FinishReason::none) finished_[entry.id] = true;
      result.entries.push_back(outcome);
    }
    to_scheduler_.push_back([this, result] {
      scheduler_.on_result(result);
      poll();
    });
  }

  TokenId& slot(const Running& sequence, std::uint32_t position) {
    const auto block = static_cast<std::size_t>(sequence.blocks.at(position / options_.block_tokens));
    return arena_.at(block * options_.block_tokens + position % options_.block_tokens);
  }

  schedule::SchedulerOptions options_;
  std::mt19937 random_;
  cache::PrefixCache cache_;
  cache::Evictor evictor_;
  schedule::Scheduler scheduler_;
  std::vector<TokenId> arena_;
  schedule::TimeNs now_ = 0;
  RequestId next_id_ = 1;
  std::deque<std::function<void()>> to_cache_, to_evictor_, to_scheduler_, to_executor_;
  std::map<RequestId, Running> running_;
  std::map<RequestId, std::vector<TokenId>> answers_;
  std::map<RequestId, std::uint32_t> cached_tokens_;
  std::map<RequestId, bool> finished_, cancelled_;
  std::vector<schedule::StepPlan> plans_;
};

}  // namespace headwater::test
