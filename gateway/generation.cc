#include "gateway/generation.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "gateway/api_error.h"
#include "gateway/request_id.h"
#include "gateway/sse.h"

namespace headwater::gateway {
namespace {

GenerateCall named(GenerateCall call, const Dialect& dialect) {
  call.id = random_id(dialect.id_prefix());
  call.created =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return call;
}

}  // namespace

Generation::Generation(Hub& hub, const Executor& strand, GenerateCall call, const Dialect& dialect,
                       BufferAccount& account)
    : hub_(hub),
      call_(named(std::move(call), dialect)),
      scores_once_(call_.n > 1 && call_.base.params.prompt_logprobs),
      dialect_(dialect),
      account_(account),
      changed_(strand),
      choices_(call_.choices()),
      taken_(std::chrono::steady_clock::now()) {
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    choices_[i].index = i;
    if (!scores_once_ || call_.first_of(i) == i) waiting_.push_back(i);
  }
  bridge_.emplace(
      hub.runtime, hub.metrics, strand, [this](std::vector<TokenEvent> events) { on_events(std::move(events)); },
      [this] {
        fail_by(std::make_exception_ptr(std::bad_alloc()));
        changed_.notify();
      });
}

Result<void> Generation::start() {
  auto submitted = submit_more();
  if (!submitted) bridge_.reset();
  const Request& request = call_.base;
  if (submitted && !request.session.empty()) {
    const auto ttl =
        request.cache.ttl_ms ? std::optional(std::chrono::milliseconds(*request.cache.ttl_ms)) : std::nullopt;
    hub_.conversations.note({request.tenant, request.session}, ttl, std::chrono::steady_clock::now());
  }
  return submitted;
}

void Generation::abandon() {
  bridge_.reset();
  changed_.notify();
}

Result<void> Generation::submit_more() {
  while (!waiting_.empty()) {
    Choice& choice = choices_[waiting_.front()];
    Request request = call_.request(choice.index);
    request.asks_again = !choice_of_.empty();
    const auto ticket = bridge_->submit(std::move(request));
    if (!ticket) {
      const bool comes_later = ticket.error().code == ErrorCode::overloaded && !choice_of_.empty();
      return comes_later ? Result<void>{} : Result<void>{ticket.error()};
    }
    waiting_.pop_front();
    choice.id = ticket->id;
    choice_of_[ticket->id] = choice.index;
    if (!call_.continuous_usage) open(choice, {});
  }
  return {};
}

void Generation::on_events(std::vector<TokenEvent> events) {
  try {
    handle(events);
  } catch (...) {
    fail_by(std::current_exception());
  }
  changed_.notify();
}

void Generation::handle(std::vector<TokenEvent>& events) {
  heard_ = true;
  const auto now = std::chrono::steady_clock::now();
  if (output_.empty() && being_written_ == 0) taken_ = now;
  // However large one event is, its reader has time to begin with it.
  const bool stalled = now - taken_ >= hub_.options.stall_timeout;
  if (stalled && output_.size() > hub_.options.max_unsent_bytes) return abandon();
  for (TokenEvent& event : events) {
    const auto found = choice_of_.find(event.id);
    if (found == choice_of_.end() || ended()) continue;
    Choice& choice = choices_[found->second];
    if (event.terminal()) {
      generated_.add(event);
      choice_of_.erase(found);
      end(choice, event);
    } else {
      apply(choice, event);
    }
  }
  if (!ended()) {
    if (const auto more = submit_more(); !more) fail(more.error());
  }
  account_.keep_output(output_.size() + being_written_);
}

/// Begins a choice's stream.
void Generation::open(Choice& choice, const Usage& usage) {
  if (!call_.stream || std::exchange(choice.opened, true)) return;
  choice.usage = usage;
  choice.usage.completion_tokens = 0;
  emit(dialect_.opening(call_, choice));
  const Choice& first = choices_[call_.first_of(choice.index)];
  if (&first == &choice || !scores_once_) return;
  TokenEvent scores;
  scores.kind = TokenEvent::Kind::prompt;
  scores.logprobs = first.prompt_logprobs;
  emit(dialect_.delta(call_, choice, scores));
}

Generated Generation::generated() const {
  Generated all = generated_;
  if (!abandoned()) return all;
  all.completion_tokens = tokens_;
  all.outcome = "disconnected";
  return all;
}

void Generation::apply(Choice& choice, TokenEvent& event) {
  if (event.kind == TokenEvent::Kind::tokens) tokens_ += event.token_ids.size();
  open(choice, event.usage);
  choice.usage = event.usage;
  if (call_.stream) emit(dialect_.delta(call_, choice, event));
  if (event.kind == TokenEvent::Kind::prompt) {
    if (scores_once_ || !call_.stream) choice.prompt_logprobs = std::move(event.logprobs);
    if (scores_once_) share_scores(choice);
  } else if (!call_.stream) {
    choice.text += event.text;
    std::move(event.logprobs.begin(), event.logprobs.end(), std::back_inserter(choice.logprobs));
  }
}

/// The other choices of a prompt may go on; where nothing but the scores is wanted, the first one is all of them.
void Generation::share_scores(Choice& first) {
  if (call_.base.params.max_tokens == 0U) return;
  for (std::size_t i = 1; i < call_.n; ++i) waiting_.push_back(first.index + i);
}

void Generation::share_end(const Choice& first) {
  TokenEvent end;
  end.kind = TokenEvent::Kind::finished;
  end.finish_reason = first.finish_reason;
  end.usage = first.usage;
  for (std::size_t i = 1; i < call_.n; ++i) {
    Choice& choice = choices_[first.index + i];
    open(choice, first.usage);
    this->end(choice, end);
  }
}

void Generation::end(Choice& choice, const TokenEvent& event) {
  if (event.kind == TokenEvent::Kind::failed) return fail(event.error);
  if (event.kind == TokenEvent::Kind::cancelled) {
    return fail({ErrorCode::unavailable, "the server cancelled the request because it is shutting down", ""});
  }
  ++ended_;
  choice.ended = true;
  choice.finish_reason = event.finish_reason;
  choice.stop_match = event.stop_match;
  open(choice, event.usage);
  choice.usage = event.usage;
  if (call_.stream) emit(dialect_.closing(call_, choice));
  const bool only_scores = scores_once_ && call_.base.params.max_tokens == 0U;
  if (only_scores && call_.first_of(choice.index) == choice.index) share_end(choice);
}

void Generation::fail(const Error& error) {
  failure_ = error;
  for (const auto& [id, index] : choice_of_) {
    if (bridge_) bridge_->cancel(id);
  }
  choice_of_.clear();
}

void Generation::fail_by(const std::exception_ptr& failure) {
  try {
    spdlog::error("a request was failed by an exception: {}", describe(failure));
    fail(error_of(failure));
  } catch (...) {
    abandon();
  }
}

void Generation::emit(const Json& chunk) {
  if (!chunk.is_null()) output_ += sse_event(chunk);
}

std::string Generation::take_output() {
  if (ended()) {
    if (failure_) {
      output_ += sse_event(error_body(*failure_));
    } else if (call_.include_usage) {
      emit(dialect_.usage_chunk(call_, choices_));
    }
    output_ += kSseDone;
  }
  std::string taken = std::exchange(output_, {});
  being_written(taken.size());
  return taken;
}

void Generation::being_written(std::size_t bytes) {
  being_written_ = bytes;
  taken_ = std::chrono::steady_clock::now();
  account_.keep_output(output_.size() + being_written_);
}

}  // namespace headwater::gateway
