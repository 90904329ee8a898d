#include "schedule/wait_estimate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <queue>

namespace headwater::schedule {
namespace {

// How `caution` follows what requests really took.
constexpr double kHold = 0.97;  ///< share of forecasts that are to hold
constexpr double kPace = 0.05;
constexpr double kLeastCaution = 0.8;
constexpr double kMostCaution = 3;

}  // namespace

/// Sequences as a fluid: those that decode have a token in every step, prompts are computed one after the other.
class WaitEstimate::Simulation {
 public:
  Simulation(const ServingLimits& limits, const StepCost& cost) : limits_(limits), cost_(cost) {}

  struct One {
    double prompt, answer, footprint;
  };

  void decode(double answer, double footprint) {
    ends_.push({answer, footprint});
    kv_ += footprint;
  }
  /// Waits for a place, behind those before it.
  void wait(const One& one) { queue_.push_back(one); }

  /// Until the last that waits has its first token.
  Forecast run() {
    Forecast forecast;
    while (!queue_.empty() || !prompts_.empty()) {
      let_in(forecast);
      advance();
      if (queue_.empty() && prompts_.size() == 1 && !begun_) {
        begun_ = true;
        forecast.begin = clock_;
      }
    }
    forecast.first_token = clock_;
    return forecast;
  }
  double clock() const { return clock_; }
  std::size_t decoding() const { return ends_.size(); }
  /// Until all have ended.
  void drain() {
    while (!ends_.empty()) advance();
  }

 private:
  struct End {
    double step, footprint;
    bool operator>(const End& other) const { return step > other.step; }
  };

  bool has_place(const One& one) const {
    const std::size_t taken = ends_.size() + prompts_.size();
    if (taken == 0) return true;
    return taken < limits_.max_batch_size && kv_ + one.footprint <= static_cast<double>(limits_.kv_tokens);
  }
  void let_in(Forecast& forecast) {
    while (!queue_.empty() && has_place(queue_.front())) {
      if (queue_.size() == 1) {
        forecast.place = clock_;
        if (prompts_.empty()) {
          forecast.begin = clock_;
          begun_ = true;
        }
      }
      kv_ += queue_.front().footprint;
      prompts_.push_back(queue_.front());
      queue_.pop_front();
    }
  }
  double prefill_rows() const {
    if (prompts_.empty()) return 0;
    if (!ends_.empty()) return std::min(limits_.mixed_prefill_tokens, limits_.max_step_tokens);
    return static_cast<double>(
        std::min<std::uint64_t>(std::uint64_t{limits_.prefill_chunk} * prompts_.size(), limits_.max_step_tokens));
  }
  /// Up to the next end of a prompt or an answer.
  void advance() {
    const double rows = prefill_rows();
    const double decode = static_cast<double>(ends_.size());
    const double to_end = ends_.empty() ? std::numeric_limits<double>::infinity() : ends_.top().step - steps_;
    const double to_prompt =
        prompts_.empty() ? std::numeric_limits<double>::infinity() : prompts_.front().prompt / rows;
    const double steps = std::max(std::min(to_end, to_prompt), 0.0);
    // A step computes no more prompt tokens than there are.
    clock_ += steps * cost_.seconds(decode, rows);
    steps_ += steps;
    if (!prompts_.empty()) prompts_.front().prompt -= steps * rows;
    if (to_prompt <= to_end) {
      const One done = prompts_.front();
      prompts_.pop_front();
      if (done.answer > 1) {
        ends_.push({steps_ + done.answer - 1, done.footprint});
      } else {
        kv_ -= done.footprint;
      }
    } else {
      kv_ -= ends_.top().footprint;
      ends_.pop();
    }
  }

  const ServingLimits& limits_;
  const StepCost& cost_;
  double clock_ = 0, steps_ = 0, kv_ = 0;
  bool begun_ = false;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;  // kv_ is what these and prompts_ hold
  std::deque<One> prompts_, queue_;
};

double WaitEstimate::next_turn(const std::string& tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? turn_ : std::max(turn_, found->second.served);
}

WaitEstimate::Simulation WaitEstimate::before(double turn) const {
  Simulation simulation(limits_, cost_);
  for (const auto& [id, job] : jobs_) {
    if (job.decoding) simulation.decode(std::max(job.answer, 1.0), job.footprint);
  }
  for (const auto& [place, id] : waiting_) {
    const Job& job = jobs_.at(id);
    // Who has begun is in front of all who have not.
    if (place <= turn || job.started) simulation.wait({job.prompt, job.answer, job.footprint});
  }
  return simulation;
}

Forecast WaitEstimate::simulate(const ExpectedWork& mine, double turn) const {
  Simulation simulation = before(turn);
  simulation.wait({mine.prompt, mine.answer, mine.prompt + mine.answer});
  Forecast forecast = simulation.run();
  // Whoever ends while it decodes is followed by somebody else, and prompts come as they did lately.
  const auto others = static_cast<double>(std::max<std::size_t>(simulation.decoding(), 1));
  forecast.finish = forecast.first_token + (mine.answer - 1) * cost_.seconds(others, mixed_prefill_.or_else(0));
  return forecast;
}

Forecast WaitEstimate::forecast(const Request& request) const {
  if (!cost_.known()) return {};
  return simulate(guess_.expect(request), next_turn(request.tenant));
}

double WaitEstimate::backlog() const {
  if (!cost_.known() || jobs_.empty()) return 0;
  Simulation simulation = before(std::numeric_limits<double>::infinity());
  simulation.run();
  simulation.drain();
  return simulation.clock();
}

WaitEstimate::Decision WaitEstimate::judge(const Request& request, double max_wait) const {
  const double deadline = request.timeout_ms * 1e-3;
  if (!cost_.known() || jobs_.empty() || (deadline == 0 && max_wait == 0)) return {};
  const ExpectedWork work = guess_.expect(request);
  const Forecast forecast = simulate(work, next_turn(request.tenant));
  Decision decision;
  decision.predicted = forecast.finish;
  // Not stretched: ends come later than foreseen where more requests come, which says little of when a place is free.
  const double wait = forecast.begin;
  const double finish = forecast.finish * caution_;
  // A few that compute long prompts side by side are no queue.
  const bool crowded = jobs_.size() >= limits_.max_batch_size;
  if (max_wait > 0 && crowded && wait > max_wait) {
    decision.refusal = {false, wait, finish, std::max(wait - max_wait, 1.0)};
  } else if (deadline > 0 && finish > deadline) {
    // The length of an answer is a guess. Where it says that the deadline cannot be kept even alone, it may be wrong.
    const bool by_load = prompt_seconds(work.prompt, 0) + (work.answer - 1) * cost_.seconds(1, 0) <= deadline;
    const double least = forecast.first_token + (work.certain_answer - 1) * cost_.seconds(1, 0);
    if (by_load || forecast.begin > 0 || least > deadline) {
      decision.refusal = {true, wait, finish, std::clamp(finish - deadline, 1.0, std::max(wait, 1.0))};
    }
  }
  return decision;
}

void WaitEstimate::enter(const RequestPtr& request, double predicted) {
  const ExpectedWork work = guess_.expect(request->request);
  Job job;
  job.request = request;
  job.prompt = work.prompt;
  job.answer = work.answer;
  job.certain_answer = work.certain_answer;
  job.footprint = work.prompt + work.answer;
  job.turn = next_turn(request->request.tenant);
  job.predicted = predicted;
  Tenant& tenant = tenants_[request->request.tenant];
  tenant.served = job.turn + job.footprint;
  ++tenant.jobs;
  if (!jobs_.emplace(request->id, job).second) return;
  waiting_.emplace(job.turn, request->id);
}

void WaitEstimate::tokenized(RequestId id, std::uint32_t prompt_tokens) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  guess_.tokenized(found->second.request->request, prompt_tokens);
}

void WaitEstimate::on_step(const StepResult& step) {
  for (const SequenceStart& start : step.starts) {
    const auto found = jobs_.find(start.request->id);
    if (found == jobs_.end()) continue;
    Job& job = found->second;
    const auto tokens = static_cast<std::uint32_t>(start.tokens.size());
    if (!job.started) {
      guess_.started(tokens, start.cached_tokens);
      turn_ = std::max(turn_, job.turn);
    }
    job.started = true;
    job.prompt = tokens - start.cached_tokens;
    job.footprint = job.prompt + job.answer;
  }
  double decode = 0, prefill = 0, tokens = 0;
  for (const EntryResult& entry : step.entries) {
    (entry.given() == 1 ? decode : prefill) += entry.given();
    if (entry.given() == 1) tokens += 1 + entry.accepted();
    const auto found = jobs_.find(entry.id);
    if (found == jobs_.end()) continue;
    Job& job = found->second;
    job.prompt = std::max(job.prompt - entry.given(), 0.0);
    if (entry.sampled.empty()) continue;
    job.generated += static_cast<std::uint32_t>(entry.sampled.size());
    job.answer = std::max(job.answer - static_cast<double>(entry.sampled.size()), 0.0);
    if (job.decoding) continue;
    job.decoding = true;
    ++decoding_;
    waiting_.erase({job.turn, entry.id});
  }
  if (decode > 0) mixed_prefill_.add(prefill);
  // Where guesses were right, a step did the work of several.
  const double steps = decode > 0 ? tokens / decode : 1;
  cost_.add(decode, prefill / steps, static_cast<double>(step.duration) * 1e-9 / steps);
}

void WaitEstimate::leave(RequestId id, End end, TimeNs now) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const Job job = std::move(found->second);
  jobs_.erase(found);
  waiting_.erase({job.turn, id});
  if (job.decoding) --decoding_;
  const auto tenant = tenants_.find(job.request->request.tenant);
  if (tenant != tenants_.end() && --tenant->second.jobs == 0) tenants_.erase(tenant);
  end == End::finished ? guess_.finished(job.request->request, job.generated)
                       : guess_.cut(job.request->request, job.generated);
  if (end == End::other || job.predicted == 0) return;
  const double took = static_cast<double>(now - job.request->accepted_at) * 1e-9;
  const bool held = end == End::finished && took <= job.predicted * caution_;
  caution_ *= std::exp(held ? -kPace * (1 - kHold) : kPace * kHold);
  caution_ = std::clamp(caution_, kLeastCaution, kMostCaution);
}

double WaitEstimate::prompt_seconds(double tokens, double decode) const {
  const double rows =
      decode > 0 ? std::min(limits_.mixed_prefill_tokens, limits_.prefill_chunk) : limits_.prefill_chunk;
  return std::max(tokens / rows, 1.0) * cost_.seconds(decode, std::min(tokens, rows));
}

/// Seconds that the job takes from now on if its first token is computed next.
double WaitEstimate::alone(const Job& job) const {
  const auto decode = static_cast<double>(decoding_);
  // The length of an answer is a guess, which only counts where others want the place.
  const double answer = jobs_.size() > limits_.max_batch_size ? job.answer : job.certain_answer;
  return prompt_seconds(job.prompt, decode) + (answer - 1) * cost_.seconds(std::max(decode, 1.0), 0);
}

std::vector<RequestId> WaitEstimate::hopeless(TimeNs now) const {
  std::vector<RequestId> ids;
  if (!cost_.known()) return ids;
  for (const auto& [turn, id] : waiting_) {
    const Job& job = jobs_.at(id);
    const Request& request = job.request->request;
    if (job.started || request.timeout_ms == 0) continue;
    const double left = request.timeout_ms * 1e-3 - static_cast<double>(now - job.request->accepted_at) * 1e-9;
    if (alone(job) > left) ids.push_back(id);
  }
  return ids;
}

}  // namespace headwater::schedule
