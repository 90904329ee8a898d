#pragma once
// A server in virtual time: the door as Admission keeps it, the real scheduler, and an executor whose steps take what a
// formula says. The pool is large, and tokenizing takes no time.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "schedule/scheduler.h"
#include "schedule/wait_estimate.h"

namespace headwater::test {

/// A request and when it comes.
struct Arrival {
  double at = 0;  ///< seconds
  std::uint32_t prompt = 1;
  std::uint32_t answer = 1;      ///< its true length
  std::uint32_t max_tokens = 1;  ///< what the client allows
  double limit = 0;              ///< seconds after which the client has no use for it; 0: none
  bool tells = true;             ///< the server knows of the limit
  std::string tenant{};
};

/// What became of it.
struct Outcome {
  enum class Kind : std::uint8_t { refused, late, finished, unfinished } kind = Kind::unfinished;
  double first_token = 0;  ///< seconds since it came
  double finish = 0;
  double retry = 0;  ///< refused: after how long it may be asked again
  bool good(const Arrival& arrival) const {
    return kind == Kind::finished && (arrival.limit == 0 || finish <= arrival.limit);
  }
};

class OverloadSimulation {
 public:
  static schedule::SchedulerOptions usual() {
    schedule::SchedulerOptions options;
    options.max_batch_size = 48;
    options.max_step_tokens = 512;
    options.prefill_chunk = 256;
    options.mixed_prefill_tokens = 208;
    options.grid = 32;
    options.total_blocks = 1U << 20U;
    options.share_prefixes = false;
    return options;
  }
  struct Options {
    schedule::SchedulerOptions scheduler = usual();
    double max_wait = 0;
    bool door = true;  ///< off: all are taken that there is credit for, and nothing is ended
    std::size_t credit = 1024;
    /// Seconds of a step.
    std::function<double(double decode, double prefill, double context)> step_seconds =
        [](double decode, double prefill, double context) {
          return 0.008 + 0.0006 * decode + 0.00025 * prefill + 1e-6 * context;
        };
  };

  explicit OverloadSimulation(const Options& options)
      : options_(options), scheduler_(options.scheduler), estimate_(limits(options.scheduler)) {}

  /// Serves what comes until `until` seconds.
  std::vector<Outcome> run(const std::vector<Arrival>& arrivals, double until) {
    outcomes_.assign(arrivals.size(), {});
    arrivals_ = &arrivals;
    std::size_t next = 0;
    double tick = 0;
    while (true) {
      const double come = next < arrivals.size() ? arrivals[next].at : until;
      const double event = std::min({come, plan_ ? plan_end_ : until, tick});
      if (event >= until) break;
      now_ = event;
      if (event == tick) {
        tick += 0.02;
        if (options_.door) end_late();
      } else if (event == come) {
        arrive(next++);
      } else {
        complete();
      }
      proceed();
    }
    return outcomes_;
  }
  const schedule::WaitEstimate& estimate() const { return estimate_; }

 private:
  static schedule::ServingLimits limits(const schedule::SchedulerOptions& options) {
    return {options.max_batch_size, options.max_step_tokens, options.prefill_chunk, options.mixed_prefill_tokens,
            std::uint64_t{options.total_blocks} * options.grid.tokens};
  }
  TimeNs now_ns() const { return static_cast<TimeNs>(now_ * 1e9) + 1; }

  void arrive(std::size_t i) {
    const Arrival& arrival = (*arrivals_)[i];
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = i + 1;
    request->connection = i + 1;
    request->accepted_at = now_ns();
    request->prompt.assign(arrival.prompt, static_cast<TokenId>(i));
    request->request.prompt = std::vector<TokenId>(arrival.prompt, 1);
    request->request.params.max_tokens = arrival.max_tokens;
    request->request.tenant = arrival.tenant;
    request->max_new_tokens = arrival.max_tokens;
    if (arrival.tells) request->request.timeout_ms = static_cast<std::uint32_t>(arrival.limit * 1000);
    double predicted = 0;
    if (live_.size() >= options_.credit) {
      outcomes_[i].kind = Outcome::Kind::refused;
      return;
    }
    if (options_.door) {
      const auto decision = estimate_.judge(request->request, options_.max_wait);
      if (decision.refusal) {
        outcomes_[i].kind = Outcome::Kind::refused;
        outcomes_[i].retry = decision.refusal->retry;
        return;
      }
      predicted = decision.predicted;
    }
    estimate_.enter(request, predicted);
    live_[request->id] = request;
    schedule::MatchedSequence sequence;
    sequence.request = request;
    sequence.tokens = request->prompt;
    scheduler_.add(std::move(sequence));
  }
  void end_late() {
    std::vector<RequestId> late;
    for (const auto& [id, request] : live_) {
      const std::uint32_t timeout = request->request.timeout_ms;
      if (timeout > 0 && now_ns() - request->accepted_at >= TimeNs{timeout} * 1'000'000) late.push_back(id);
    }
    for (RequestId id : estimate_.hopeless(now_ns())) {
      if (std::ranges::find(late, id) == late.end()) late.push_back(id);
    }
    for (RequestId id : late) {
      scheduler_.cancel(id);
      end(id, Outcome::Kind::late, schedule::WaitEstimate::End::late);
    }
  }
  void end(RequestId id, Outcome::Kind kind, schedule::WaitEstimate::End how) {
    Outcome& outcome = outcomes_[id - 1];
    outcome.kind = kind;
    outcome.finish = now_ - (*arrivals_)[id - 1].at;
    estimate_.leave(id, how, now_ns());
    live_.erase(id);
  }
  void proceed() {
    while (true) {
      schedule::SchedulerOutput output = scheduler_.poll(now_ns());
      for (const auto& rematch : output.rematch) {
        schedule::MatchedSequence sequence;
        sequence.request = rematch.request;
        sequence.tokens = rematch.tokens;
        scheduler_.add(std::move(sequence));
      }
      if (output.plan) begin(std::move(*output.plan));
      if (output.demand == 0 && output.rematch.empty()) return;
      std::vector<BlockId> blocks;
      for (std::uint32_t i = 0; i < output.demand; ++i) blocks.push_back(next_block_++ % (1 << 20));
      if (output.demand > 0) scheduler_.on_grant(blocks, output.demand);
    }
  }
  void begin(schedule::StepPlan plan) {
    double decode = 0, prefill = 0, context = 0;
    for (const auto& entry : plan.entries) {
      (entry.count == 1 ? decode : prefill) += entry.count;
      context += entry.first;
    }
    seconds_ = plan.entries.empty() ? 1e-5 : options_.step_seconds(decode, prefill, context);
    plan_end_ = now_ + seconds_;
    plan_ = std::move(plan);
  }
  void complete() {
    schedule::StepResult result;
    result.epoch = plan_->epoch;
    result.step = plan_->step;
    result.starts = plan_->starts;
    result.duration = static_cast<TimeNs>(seconds_ * 1e9);
    std::vector<RequestId> ended;
    for (const auto& entry : plan_->entries) {
      schedule::EntryResult& one = result.entries.emplace_back();
      one.id = entry.id;
      one.computed = entry.count;
      if (entry.sample) one.sampled.resize(1);
      if (!entry.sample) continue;
      const Arrival& arrival = (*arrivals_)[entry.id - 1];
      if (generated_[entry.id]++ == 0) outcomes_[entry.id - 1].first_token = now_ - arrival.at;
      if (generated_[entry.id] < arrival.answer) continue;
      one.finish = FinishReason::stop;
      ended.push_back(entry.id);
    }
    estimate_.on_step(result);
    for (RequestId id : ended) {
      if (live_.contains(id)) end(id, Outcome::Kind::finished, schedule::WaitEstimate::End::finished);
    }
    plan_.reset();
    scheduler_.on_result(result);
  }

  Options options_;
  schedule::Scheduler scheduler_;
  schedule::WaitEstimate estimate_;
  const std::vector<Arrival>* arrivals_ = nullptr;
  std::vector<Outcome> outcomes_;
  std::map<RequestId, schedule::RequestPtr> live_;
  std::map<RequestId, std::uint32_t> generated_;
  std::optional<schedule::StepPlan> plan_;
  double now_ = 0, plan_end_ = 0, seconds_ = 0;
  BlockId next_block_ = 0;
};

}  // namespace headwater::test
