#pragma once
// When a request that comes now would be served, by what steps cost lately and by what is under way: whether it can
// keep its time, so that what cannot is refused at the door and no work is spent on it. No clock: time is passed in.
//
// Threading: one caller at a time.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schedule/step.h"
#include "schedule/step_cost.h"
#include "schedule/work_guess.h"

namespace headwater::schedule {

/// What the scheduler may do in a step, as SchedulerOptions have it, and the pool.
struct ServingLimits {
  std::uint32_t max_batch_size = 1;
  std::uint32_t max_step_tokens = 1;
  std::uint32_t prefill_chunk = 1;
  std::uint32_t mixed_prefill_tokens = 1;
  std::uint64_t kv_tokens = 1;  ///< that the pool holds
};

/// Seconds from now.
struct Forecast {
  double place = 0;  ///< until there is a place in the batch
  double begin = 0;  ///< until the first of its tokens is computed
  double first_token = 0;
  double finish = 0;
};

/// Why a request is not to be taken.
struct LateRefusal {
  bool deadline = false;  ///< its own; otherwise the operator's max_wait
  double wait = 0;        ///< seconds until it would begin
  double finish = 0;      ///< seconds until it would end
  double retry = 1;       ///< seconds after which it would likely be taken
};

class WaitEstimate {
 public:
  explicit WaitEstimate(const ServingLimits& limits) : limits_(limits) {}

  struct Decision {
    std::optional<LateRefusal> refusal;
    double predicted = 0;  ///< seconds until the end, for enter(); 0: nothing was predicted
  };
  /// Whether a request that comes now keeps its deadline, and `max_wait` seconds (0: any) where all places are taken.
  /// Where nothing is under way everything is taken: what was measured may be wrong, and then it is measured anew.
  Decision judge(const Request& request, double max_wait) const;

  // ---- what becomes of requests ----

  void enter(const RequestPtr& request, double predicted);
  void tokenized(RequestId id, std::uint32_t prompt_tokens);
  void on_step(const StepResult& step);
  enum class End : std::uint8_t { finished, late, other };
  void leave(RequestId id, End end, TimeNs now);

  /// Requests that wait for their first step and would miss their deadline even if that were the next one.
  std::vector<RequestId> hopeless(TimeNs now) const;

  /// Of a request like the last, that comes now. Nothing is known: zeros.
  Forecast forecast(const Request& request) const;
  /// Seconds of work under way.
  double backlog() const;
  std::size_t under_way() const { return jobs_.size(); }

 private:
  /// Where a request stands among those that wait: the share of service that its tenant had when it came.
  using Turn = std::pair<double, RequestId>;
  struct Job {
    RequestPtr request;
    double prompt = 0;  ///< tokens that are left to compute
    double answer = 0;  ///< tokens that are left to generate, likely
    double certain_answer = 1;
    double footprint = 0;  ///< tokens that it takes of the pool for itself
    double turn = 0;
    double predicted = 0;
    std::uint32_t generated = 0;
    bool started = false;
    bool decoding = false;
  };
  struct Tenant {
    double served = 0;  ///< turn of its next request
    std::uint32_t jobs = 0;
  };

  class Simulation;
  double next_turn(const std::string& tenant) const;
  /// What is under way, and what waits up to that turn.
  Simulation before(double turn) const;
  Forecast simulate(const ExpectedWork& mine, double turn) const;
  /// To compute a prompt while so many sequences decode.
  double prompt_seconds(double tokens, double decode) const;
  double alone(const Job& job) const;

  ServingLimits limits_;
  StepCost cost_;
  WorkGuess guess_;
  RecentMean mixed_prefill_{1.0 / 32};  ///< prompt tokens in steps that decode
  std::unordered_map<RequestId, Job> jobs_;
  std::set<Turn> waiting_;  ///< jobs without a token, in the order of their turns
  std::unordered_map<std::string, Tenant> tenants_;
  double turn_ = 0;     ///< of those that were started last
  double caution_ = 1;  ///< by which forecasts of the end are stretched, so that nearly all hold
  std::size_t decoding_ = 0;
};

}  // namespace headwater::schedule
