#pragma once
// A server whose pool is the limit, in virtual time: scheduler, prefix cache and evictor, each answered at once, and
// steps that take what a formula says. So many clients ask one request after the other; how long an answer gets is
// known to the test alone.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/eviction.h"
#include "cache/prefix_cache.h"
#include "schedule/scheduler.h"

namespace headwater::test {

struct Ask {
  std::uint32_t prompt = 1;
  std::uint32_t answer = 1;                   ///< its true length
  std::optional<std::uint32_t> max_tokens{};  ///< what the client allows; none: what `context` leaves
  std::uint32_t shared = 0;                   ///< leading tokens that all prompts of a `kind` have
  TokenId kind = 0;
  bool ignore_eos = false;
};

class TightPool {
 public:
  struct Options {
    schedule::SchedulerOptions scheduler{
        .max_batch_size = 48, .max_step_tokens = 512, .prefill_chunk = 256, .mixed_prefill_tokens = 208, .grid = 32};
    std::uint32_t context = 4096;
  };

  explicit TightPool(const Options& options)
      : options_(options),
        scheduler_(options.scheduler),
        cache_({.total_blocks = options.scheduler.total_blocks,
                .grid = options.scheduler.grid,
                .enabled = true,
                .match_threshold = 0.8,
                .context = {}}),
        evictor_(cache::make_policy("lru", options.scheduler.total_blocks).value(), options.scheduler.total_blocks) {}

  /// Each of the lists is a client's.
  void run(std::vector<std::deque<Ask>> clients, std::uint64_t most_steps = 1'000'000) {
    clients_ = std::move(clients);
    for (std::size_t client = 0; client < clients_.size(); ++client) ask(client);
    while (steps_ < most_steps) {
      const std::optional<schedule::StepPlan> plan = proceed();
      if (!plan) break;
      complete(*plan);
    }
  }

  bool all_answered() const {
    return live_.empty() && std::ranges::all_of(clients_, [](const auto& client) { return client.empty(); });
  }
  std::uint64_t preemptions() const { return scheduler_.counters().preemptions; }
  double seconds() const { return seconds_; }
  double tokens_per_second() const { return static_cast<double>(tokens_) / seconds_; }
  std::uint64_t computed_rows() const { return rows_; }
  std::uint64_t steps() const { return steps_; }
  /// Sequences in each step.
  const std::vector<std::size_t>& batches() const { return batches_; }
  /// In the order in which they were started.
  const std::vector<RequestId>& starts() const { return starts_; }
  /// Seconds until the first token, of each request in ascending order.
  std::vector<double> first_tokens() const {
    std::vector<double> all = first_tokens_;
    std::ranges::sort(all);
    return all;
  }
  const schedule::Scheduler& scheduler() const { return scheduler_; }

 private:
  struct Live {
    std::size_t client;
    Ask ask;
    std::uint32_t generated = 0;
    double came = 0;
  };

  static TokenId token(std::uint64_t of, std::uint64_t place) {
    return static_cast<TokenId>((of * 0x9E3779B97F4A7C15ULL + place * 0xC2B2AE3D27D4EB4FULL) >> 40U);
  }
  TimeNs now() const { return static_cast<TimeNs>(seconds_ * 1e9) + 1; }

  void ask(std::size_t client) {
    if (clients_[client].empty()) return;
    const Ask ask = clients_[client].front();
    clients_[client].pop_front();
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = next_id_++;
    request->connection = client;
    for (std::uint32_t i = 0; i < ask.prompt; ++i) {
      request->prompt.push_back(i < ask.shared ? token(1'000'000U + static_cast<std::uint64_t>(ask.kind), i)
                                               : token(request->id, i));
    }
    request->request.params.max_tokens = ask.max_tokens;
    request->request.params.ignore_eos = ask.ignore_eos;
    request->max_new_tokens = ask.max_tokens.value_or(options_.context - ask.prompt);
    live_[request->id] = {client, ask, 0, seconds_};
    match(request, request->prompt);
  }
  void match(const schedule::RequestPtr& request, const std::vector<TokenId>& tokens) {
    cache::MatchResult found = cache_.match(request->id, tokens, "", true);
    scheduler_.add(
        {request, tokens, std::move(found.blocks), found.cached_tokens, found.details, {}, found.first_window});
    touch();
  }
  void touch() { evictor_.on_touches(cache_.take_touches(), now()); }

  /// All that can be done before the next step, which it returns.
  std::optional<schedule::StepPlan> proceed() {
    std::optional<schedule::StepPlan> plan;
    bool more = true;
    while (more) {
      schedule::SchedulerOutput output = scheduler_.poll(now());
      for (const auto& filled : output.filled) cache_.publish(filled.id, filled.blocks, filled.tokens);
      for (const auto& one : output.released) cache_.release(one.id, one.blocks, one.tail, one.windows);
      cache_.release_copied(output.copied);
      cache_.give_back(output.returned);
      touch();
      for (const auto& rematch : output.rematch) match(rematch.request, rematch.tokens);
      if (output.demand > 0) {
        const auto blocks = cache_.reclaim(output.demand, evictor_.victims(output.demand));
        touch();
        scheduler_.on_grant(blocks, output.demand);
      }
      if (output.plan) plan = std::move(output.plan);
      more = output.demand > 0 || !output.rematch.empty();
    }
    return plan;
  }
  void complete(const schedule::StepPlan& plan) {
    schedule::StepResult result;
    result.epoch = plan.epoch;
    result.step = plan.step;
    std::vector<std::size_t> done;
    double decode = 0, prefill = 0, context = 0;
    for (const auto& entry : plan.entries) {
      (entry.count == 1 ? decode : prefill) += entry.count;
      context += entry.first;
    }
    seconds_ += plan.entries.empty() ? 0 : 0.008 + 0.0006 * decode + 0.00025 * prefill + 1e-6 * context;
    for (const auto& start : plan.starts) starts_.push_back(start.request->id);
    ++steps_;
    rows_ += static_cast<std::uint64_t>(decode + prefill);
    batches_.push_back(plan.entries.size());
    for (const auto& entry : plan.entries) {
      schedule::EntryResult& one = result.entries.emplace_back();
      one.id = entry.id;
      one.computed = entry.count;
      if (!entry.sample) continue;
      Live& live = live_.at(entry.id);
      one.sampled = {{token(entry.id, 1'000'000U + live.generated)}};
      ++tokens_;
      if (live.generated++ == 0) first_tokens_.push_back(seconds_ - live.came);
      if (live.generated < live.ask.answer) continue;
      one.finish = FinishReason::stop;
      done.push_back(live.client);
      live_.erase(entry.id);
    }
    scheduler_.on_result(result);
    for (const std::size_t client : done) ask(client);
  }

  Options options_;
  schedule::Scheduler scheduler_;
  cache::PrefixCache cache_;
  cache::Evictor evictor_;
  std::vector<std::deque<Ask>> clients_;
  std::map<RequestId, Live> live_;
  std::vector<std::size_t> batches_;
  std::vector<RequestId> starts_;
  std::vector<double> first_tokens_;
  double seconds_ = 0;
  std::uint64_t tokens_ = 0, rows_ = 0, steps_ = 0;
  RequestId next_id_ = 1;
};

}  // namespace headwater::test
