#include "actors/admission.h"

#include <algorithm>
#include <cmath>

namespace headwater::actors {
namespace {

using End = schedule::WaitEstimate::End;

std::string seconds_text(double seconds) {
  const auto tenths = static_cast<std::int64_t>(std::llround(seconds * 10));
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

End end_of(const TokenEvent& event) {
  if (event.kind == TokenEvent::Kind::finished) return End::finished;
  return event.error.code == ErrorCode::deadline_exceeded ? End::late : End::other;
}

}  // namespace

Error Admission::refuse(const Request& request, Refusal refusal, const std::string& why, double retry_after) {
  if (!request.asks_again) ++refused(refusal);
  const auto seconds = static_cast<std::uint32_t>(std::ceil(std::clamp(retry_after, 1.0, 3600.0)));
  return {ErrorCode::overloaded, why + "; try again in about " + std::to_string(seconds) + " s", "", seconds};
}

Result<std::uint32_t> Admission::enter(const schedule::RequestPtr& request) {
  using Credit = schedule::TenantCredit::Answer;
  const std::scoped_lock lock(mutex_);
  const Request& asked = request->request;
  if (!broken_.empty()) {
    ++refused(Refusal::unavailable);
    return Error{ErrorCode::unavailable, broken_, ""};
  }
  if (draining_) {
    ++refused(Refusal::draining);
    return Error{ErrorCode::draining, "the server is shutting down and accepts nothing more", ""};
  }
  const auto decision = estimate_.judge(asked, max_wait_);
  if (const auto& late = decision.refusal; late && late->deadline) {
    return refuse(asked, Refusal::deadline,
                  "the answer would take about " + seconds_text(late->finish) +
                      ", longer than the request's timeout of " + seconds_text(asked.timeout_ms * 1e-3),
                  late->retry);
  } else if (late) {
    return refuse(asked, Refusal::max_wait,
                  "the request would wait for about " + seconds_text(late->wait) +
                      ", longer than this server lets one wait (" + seconds_text(max_wait_) +
                      ", max_wait of the scheduler)",
                  late->retry);
  }
  const Credit credit = credit_.take(asked.tenant, request->accepted_at);
  if (credit == Credit::none_left) {
    return refuse(asked, Refusal::queue_full,
                  "the server has " + std::to_string(credit_.taken()) + " requests under way, as many as it may", 1);
  }
  if (credit == Credit::share_used) {
    return refuse(asked, Refusal::share_used,
                  "this client has its share of the requests that may be under way, and others need theirs", 1);
  }
  estimate_.enter(request, decision.predicted);
  ++undelivered_;
  ++counters_.accepted;
  return without_token_++;
}

void Admission::tokenized(RequestId id, std::uint32_t prompt_tokens) {
  const std::scoped_lock lock(mutex_);
  estimate_.tokenized(id, prompt_tokens);
  counters_.prompt_tokens += prompt_tokens;
}

void Admission::on_step(const schedule::StepResult& step) {
  const std::scoped_lock lock(mutex_);
  estimate_.on_step(step);
}

std::vector<RequestId> Admission::hopeless(TimeNs now) const {
  const std::scoped_lock lock(mutex_);
  return estimate_.hopeless(now);
}

void Admission::first_token() {
  const std::scoped_lock lock(mutex_);
  --without_token_;
}

void Admission::leave(const schedule::AdmittedRequest& request, const TokenEvent& event, bool had_token, TimeNs now) {
  const std::scoped_lock lock(mutex_);
  credit_.give_back(request.request.tenant);
  estimate_.leave(request.id, end_of(event), now);
  if (!had_token) --without_token_;
  if (event.kind == TokenEvent::Kind::finished) ++counters_.finished;
  if (event.kind == TokenEvent::Kind::failed) ++counters_.failed;
  if (event.kind == TokenEvent::Kind::cancelled) ++counters_.cancelled;
}

void Admission::delivered() {
  const std::scoped_lock lock(mutex_);
  if (--undelivered_ == 0) idle_.notify_all();
}

void Admission::count_generated(std::uint64_t tokens) {
  const std::scoped_lock lock(mutex_);
  counters_.generation_tokens += tokens;
}

void Admission::count_restart() {
  const std::scoped_lock lock(mutex_);
  ++counters_.stage_restarts;
}

void Admission::count_refused(Refusal why) {
  const std::scoped_lock lock(mutex_);
  ++refused(why);
}

void Admission::drain() {
  const std::scoped_lock lock(mutex_);
  draining_ = true;
}

bool Admission::draining() const {
  const std::scoped_lock lock(mutex_);
  return draining_ || !broken_.empty();
}

void Admission::break_down(std::string reason) {
  const std::scoped_lock lock(mutex_);
  broken_ = std::move(reason);
}

bool Admission::wait_idle(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, timeout, [this] { return undelivered_ == 0; });
}

void Admission::report(Stats& stats) const {
  const std::scoped_lock lock(mutex_);
  stats = counters_;
  stats.in_flight = credit_.taken();
}

}  // namespace headwater::actors
