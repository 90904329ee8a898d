#include "schedule/request_ledger.h"

#include <algorithm>
#include <utility>

namespace headwater::schedule {
namespace {

double ms_since(TimeNs start, TimeNs now) { return static_cast<double>(now - start) * 1e-6; }

}  // namespace

void RequestLedger::open(RequestPtr request) {
  Entry entry;
  if (request->request.timeout_ms > 0) {
    entry.deadline = request->accepted_at + TimeNs{request->request.timeout_ms} * 1'000'000;
  }
  const RequestId id = request->id;
  entry.request = std::move(request);
  entries_.emplace(id, std::move(entry));
}

const RequestLedger::Entry* RequestLedger::find(RequestId id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

void RequestLedger::on_tokenized(RequestId id, std::uint32_t prompt_tokens) {
  if (const auto found = entries_.find(id); found != entries_.end()) {
    found->second.tokenized = true;
    found->second.prompt_tokens = prompt_tokens;
  }
}

RequestLedger::Verdict RequestLedger::apply(TokenEvent& event, TimeNs now) {
  const auto found = entries_.find(event.id);
  if (found == entries_.end()) return Verdict::drop;
  Entry& entry = found->second;
  event.seq = entry.next_seq++;

  if (event.terminal()) {
    event.timings.ttft_ms = entry.ttft_ms;
    event.timings.total_ms = ms_since(entry.request->accepted_at, now);
    event.usage.prompt_tokens = std::max(event.usage.prompt_tokens, entry.prompt_tokens);
    event.usage.completion_tokens = std::max(event.usage.completion_tokens, entry.completion_tokens);
    entries_.erase(found);
    return Verdict::ended;
  }
  if (event.kind != TokenEvent::Kind::tokens) return Verdict::deliver;
  entry.completion_tokens += static_cast<std::uint32_t>(event.token_ids.size());
  if (entry.has_token) return Verdict::deliver;
  entry.has_token = true;
  entry.ttft_ms = ms_since(entry.request->accepted_at, now);
  return Verdict::first_token;
}

std::optional<TokenEvent> RequestLedger::end(RequestId id, TokenEvent::Kind kind, Error error, TimeNs now) {
  TokenEvent event;
  event.id = id;
  event.kind = kind;
  event.error = std::move(error);
  if (apply(event, now) == Verdict::drop) return std::nullopt;
  return event;
}

std::vector<RequestId> RequestLedger::select(const std::function<bool(const Entry&)>& wanted) const {
  std::vector<RequestId> ids;
  for (const auto& [id, entry] : entries_) {
    if (wanted(entry)) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace headwater::schedule
