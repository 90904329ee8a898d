#include "actors/admission.h"

namespace headwater::actors {

Result<std::uint32_t> Admission::enter() {
  const std::scoped_lock lock(mutex_);
  if (!broken_.empty()) return Error{ErrorCode::unavailable, broken_, ""};
  if (draining_) return Error{ErrorCode::draining, "the server is shutting down and accepts nothing more", ""};
  if (in_flight_ >= max_in_flight_) {
    ++counters_.rejected;
    return Error{
        ErrorCode::overloaded,
        "the server has " + std::to_string(in_flight_) + " requests under way, as many as it may; try again later", ""};
  }
  ++in_flight_;
  ++undelivered_;
  ++counters_.accepted;
  return without_token_++;
}

void Admission::first_token() {
  const std::scoped_lock lock(mutex_);
  --without_token_;
}

void Admission::leave(TokenEvent::Kind outcome, bool had_token) {
  const std::scoped_lock lock(mutex_);
  --in_flight_;
  if (!had_token) --without_token_;
  if (outcome == TokenEvent::Kind::finished) ++counters_.finished;
  if (outcome == TokenEvent::Kind::failed) ++counters_.failed;
  if (outcome == TokenEvent::Kind::cancelled) ++counters_.cancelled;
}

void Admission::delivered() {
  const std::scoped_lock lock(mutex_);
  if (--undelivered_ == 0) idle_.notify_all();
}

void Admission::count_tokens(std::uint64_t prompt, std::uint64_t generated) {
  const std::scoped_lock lock(mutex_);
  counters_.prompt_tokens += prompt;
  counters_.generation_tokens += generated;
}

void Admission::count_restart() {
  const std::scoped_lock lock(mutex_);
  ++counters_.stage_restarts;
}

void Admission::count_rejected() {
  const std::scoped_lock lock(mutex_);
  ++counters_.rejected;
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
  stats.in_flight = in_flight_;
}

}  // namespace headwater::actors
