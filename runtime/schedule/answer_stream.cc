#include "schedule/answer_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace headwater::schedule {
namespace {

TokenEvent event_of(const AdmittedRequest& request, TokenEvent::Kind kind) {
  TokenEvent event;
  event.id = request.id;
  event.kind = kind;
  return event;
}

}  // namespace

AnswerStreams::AnswerStreams(const model::Tokenizer& tokenizer, std::function<bool(RequestId)> mine)
    : tokenizer_(tokenizer), mine_(std::move(mine)) {}

std::vector<ConnectionEvents> AnswerStreams::on_result(const StepResult& result) {
  for (RequestId id : result.retired) answers_.erase(id);
  for (const SequenceStart& sequence : result.starts) {
    if (mine_(sequence.request->id)) start(sequence);
  }

  std::vector<ConnectionEvents> batches;
  std::unordered_map<ConnectionId, std::size_t> batch_of;
  for (const EntryResult& entry : result.entries) {
    const auto found = answers_.find(entry.id);
    if (found == answers_.end()) continue;
    Answer& answer = found->second;

    std::vector<TokenEvent> events;
    add_prompt(answer, entry, events);
    add_tokens(answer, entry, events);
    if (events.empty()) continue;

    const ConnectionId connection = answer.request->connection;
    if (events.back().terminal()) answers_.erase(found);
    const auto [place, is_new] = batch_of.try_emplace(connection, batches.size());
    if (is_new) batches.push_back({connection, {}});
    auto& target = batches[place->second].events;
    std::move(events.begin(), events.end(), std::back_inserter(target));
  }
  return batches;
}

void AnswerStreams::start(const SequenceStart& start) {
  const AdmittedRequest& request = *start.request;
  Answer answer{start.request, model::TextStream(request.request.params.stop), {}, 0, {}};
  answer.usage.prompt_tokens = static_cast<std::uint32_t>(request.prompt.size());
  answer.usage.cached_tokens = start.cached_tokens;
  answer.usage.cache = start.details;
  answer.queue_ms = static_cast<double>(start.scheduled_at - request.accepted_at) * 1e-6;
  // After a preemption: what was generated has been sent already; only the text state is wanted.
  for (std::size_t i = request.prompt.size(); i < start.tokens.size(); ++i) {
    ++answer.usage.completion_tokens;
    const TokenId token = start.tokens[i];
    if (!tokenizer_.is_control(token)) answer.text.push(tokenizer_.token_bytes(token), may_stop(answer));
  }
  answers_.insert_or_assign(request.id, std::move(answer));
}

void AnswerStreams::add_prompt(Answer& answer, const EntryResult& entry, std::vector<TokenEvent>& out) {
  const AdmittedRequest& request = *answer.request;
  if (!request.request.params.prompt_logprobs || answer.usage.completion_tokens > 0) return;

  auto& scored = answer.prompt_logprobs;
  if (scored.empty()) {
    scored.push_back({named(request.prompt.front(), std::numeric_limits<float>::quiet_NaN()), {}});
  }
  for (const auto& [logprob, top] : entry.prompt_logprobs) {
    if (scored.size() >= request.prompt.size()) break;
    PositionLogprobs position{named(request.prompt[scored.size()], logprob), {}};
    for (const auto& [token, value] : top) position.top.push_back(named(token, value));
    scored.push_back(std::move(position));
  }
  if (entry.sampled.empty() && entry.finish == FinishReason::none) return;  // more of the prompt is to come

  TokenEvent event = event_of(request, TokenEvent::Kind::prompt);
  event.token_ids = request.prompt;
  event.usage = answer.usage;
  event.logprobs = std::exchange(scored, {});
  out.push_back(std::move(event));
}

void AnswerStreams::add_tokens(Answer& answer, const EntryResult& entry, std::vector<TokenEvent>& out) {
  for (std::size_t i = 0; i < entry.sampled.size(); ++i) {
    const FinishReason finish = i + 1 == entry.sampled.size() ? entry.finish : FinishReason::none;
    const auto delta = add_token(answer, entry.sampled[i], finish, out);
    if (delta.stopped) return end(answer, FinishReason::stop, delta.stop_match, out);
  }
  if (!entry.error.empty()) return fail(answer, entry.error, out);
  if (entry.finish != FinishReason::none) end(answer, entry.finish, {}, out);
}

model::TextStream::Delta AnswerStreams::add_token(Answer& answer, const SampledToken& sampled, FinishReason finish,
                                                  std::vector<TokenEvent>& out) {
  TokenEvent event = event_of(*answer.request, TokenEvent::Kind::tokens);
  event.token_ids = {sampled.token};
  if (answer.request->request.params.logprobs) {
    PositionLogprobs position{named(sampled.token, sampled.logprob), {}};
    for (const auto& [token, logprob] : sampled.top) position.top.push_back(named(token, logprob));
    event.logprobs.push_back(std::move(position));
  }
  ++answer.usage.completion_tokens;
  event.usage = answer.usage;
  model::TextStream::Delta delta;
  // A token that ends the answer is not part of its text.
  if (finish != FinishReason::stop && !tokenizer_.is_control(sampled.token)) {
    delta = answer.text.push(tokenizer_.token_bytes(sampled.token), may_stop(answer));
  }
  event.text = delta.text;
  if (finish != FinishReason::none && !delta.stopped) event.text += answer.text.flush();
  out.push_back(std::move(event));
  return delta;
}

void AnswerStreams::end(const Answer& answer, FinishReason reason, const std::string& stop_match,
                        std::vector<TokenEvent>& out) {
  TokenEvent event = event_of(*answer.request, TokenEvent::Kind::finished);
  event.finish_reason = reason;
  event.stop_match = stop_match;
  event.usage = answer.usage;
  event.timings.queue_ms = answer.queue_ms;
  out.push_back(std::move(event));
}

void AnswerStreams::fail(const Answer& answer, const std::string& error, std::vector<TokenEvent>& out) {
  TokenEvent event = event_of(*answer.request, TokenEvent::Kind::failed);
  event.error = {ErrorCode::computation_failed, error, ""};
  event.usage = answer.usage;
  event.timings.queue_ms = answer.queue_ms;
  out.push_back(std::move(event));
}

TokenLogprob AnswerStreams::named(TokenId token, float logprob) const {
  return {token, logprob, std::string(tokenizer_.token_bytes(token))};
}

bool AnswerStreams::may_stop(const Answer& answer) const {
  return answer.usage.completion_tokens >= answer.request->request.params.min_tokens;
}

}  // namespace headwater::schedule
