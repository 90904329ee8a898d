#include "gateway/websocket_connection.h"

#include "gateway/answer_size.h"
#include "gateway/http_routes.h"
#include "gateway/request_id.h"

namespace headwater::gateway {
namespace {

/// Frames that are not understood, one after the other, that are answered.
constexpr std::size_t kMaxBadFrames = 32;

}  // namespace

WebSocketConnection::WebSocketConnection(Hub& hub, beast::tcp_stream stream, ConnectionSlot slot, std::string tenant,
                                         std::string id)
    : hub_(hub),
      strand_(stream.get_executor()),
      socket_(std::move(stream)),
      slot_(std::move(slot)),
      account_(hub.budget,
               [this] {
                 net::post(strand_, [weak = weak_from_this()] {
                   const auto self = weak.lock();
                   if (self)
                     self->cut_off(websocket::close_code::policy_error, "too slow: the server needs the memory");
                 });
               }),
      tenant_(std::move(tenant)),
      id_(std::move(id)),
      queue_changed_(strand_),
      writing_over_(strand_),
      watch_pause_(strand_),
      heard_(Clock::now()),
      written_(heard_) {
  hub_.metrics.connection_opened();
}

WebSocketConnection::~WebSocketConnection() {
  hub_.connections.remove(this);
  hub_.metrics.connection_closed();
}

void WebSocketConnection::on_frame(ClientFrame frame) {
  if (!bridge_ || closing_) return;
  if (auto* bad = std::get_if<BadFrame>(&frame)) return refuse_bad(bad->id, bad->error);
  bad_frames_ = 0;
  if (auto* wanted = std::get_if<GenerateFrame>(&frame)) {
    generate(std::move(*wanted));
  } else if (const auto* ended = std::get_if<EndSessionFrame>(&frame)) {
    end_session(*ended);
  } else {
    cancel(std::get<CancelFrame>(frame));
  }
}

void WebSocketConnection::refuse_bad(const std::optional<std::string>& id, const Error& error) {
  refuse_frame(id, error);
  if (++bad_frames_ < kMaxBadFrames) return;
  cut_off(websocket::close_code::policy_error, "too many frames that are not understood");
}

void WebSocketConnection::generate(GenerateFrame frame) {
  if (request_of_.contains(frame.id)) {
    return refuse_frame(frame.id, {ErrorCode::duplicate_id,
                                   "a request with this id is under way on this connection; choose another", "id"});
  }
  if (const auto fits = check_answer_size(frame.request, hub_.model, hub_.options.max_answer_bytes); !fits) {
    return refuse_frame(frame.id, fits.error());
  }
  frame.request.tenant = tenant_;
  std::unique_ptr<Turn> turn;
  std::optional<std::size_t> messages;
  if (!frame.request.session.empty()) {
    auto begun = begin_turn(frame.request);
    if (!begun) return refuse_frame(frame.id, begun.error());
    turn = std::move(*begun);
    messages = std::get<std::vector<ChatMessage>>(frame.request.prompt).size();
  }
  const auto ticket = bridge_->submit(std::move(frame.request));
  if (!ticket) return refuse(frame.id, ticket.error());
  request_of_[frame.id] = ticket->id;
  live_[ticket->id] = {frame.id, std::move(turn), record_of(frame.id)};
  send(accepted_frame(frame.id, *ticket, messages));
}

Result<std::unique_ptr<Turn>> WebSocketConnection::begin_turn(Request& request) {
  const Conversations::Name name{tenant_, request.session};
  auto& messages = std::get<std::vector<ChatMessage>>(request.prompt);
  std::optional<std::chrono::milliseconds> ttl;
  if (request.cache.ttl_ms) ttl = std::chrono::milliseconds(*request.cache.ttl_ms);
  auto all = hub_.conversations.begin(name, messages, ttl, std::chrono::steady_clock::now());
  if (!all) return all.error();
  messages = std::move(*all);
  return std::make_unique<Turn>(hub_.conversations, name);
}

void WebSocketConnection::cancel(const CancelFrame& frame) {
  const auto found = request_of_.find(frame.id);
  if (found == request_of_.end()) {
    return send(error_frame(
        frame.id,
        {ErrorCode::not_found, "no request with this id is under way on this connection; it may have ended", "id"}));
  }
  bridge_->cancel(found->second);
}

void WebSocketConnection::end_session(const EndSessionFrame& frame) {
  const auto ended = hub_.end_session(tenant_, frame.session);
  send(ended ? session_ended_frame(frame) : error_frame(frame.id, ended.error()));
}

void WebSocketConnection::on_events(const std::vector<TokenEvent>& events) {
  for (const TokenEvent& event : events) {
    const auto found = live_.find(event.id);
    if (found == live_.end()) continue;
    const std::string name = found->second.name;
    if (found->second.turn != nullptr) {
      if (event.kind == TokenEvent::Kind::tokens) found->second.turn->add(event.text);
      if (event.kind == TokenEvent::Kind::finished) found->second.turn->finish();
    }
    if (event.kind == TokenEvent::Kind::tokens) found->second.tokens += event.token_ids.size();
    if (event.terminal()) {
      found->second.record.generated.emplace().add(event);
      hub_.log.ended(found->second.record);
      live_.erase(found);
      request_of_.erase(name);
    }
    send(event_frame(name, event));
    if (!bridge_) return;
  }
  note_work();
}

RequestRecord WebSocketConnection::record_of(std::string_view name) const {
  RequestRecord record;
  record.id = id_ + "/" + loggable_id(name);
  record.method = "WS";
  record.route = path_of(Endpoint::stream);
  record.client = client_name(tenant_);
  record.begun = std::chrono::steady_clock::now();
  return record;
}

void WebSocketConnection::refuse_frame(const std::optional<std::string>& name, const Error& error) {
  hub_.metrics.count_refused(error.code);
  refuse(name, error);
}

void WebSocketConnection::refuse(const std::optional<std::string>& name, const Error& error) {
  RequestRecord record = record_of(name.value_or(""));
  record.error = name_of(error.code);
  hub_.log.ended(record);
  send(error_frame(name, error));
}

void WebSocketConnection::send(const Json& frame) {
  if (closing_) return;
  if (queue_.empty() && writing_bytes_ == 0) written_ = Clock::now();
  queue_.push_back(to_text(frame));
  queued_bytes_ += queue_.back().size();
  account_.keep_output(queued_bytes_ + writing_bytes_);
  queue_changed_.notify();
}

void WebSocketConnection::drop_requests() {
  bridge_.reset();
  request_of_.clear();
  for (auto& [id, live] : live_) {
    Generated& made = live.record.generated.emplace();
    made.completion_tokens = live.tokens;
    made.outcome = "disconnected";
    hub_.log.ended(live.record);
  }
  live_.clear();
}

}  // namespace headwater::gateway
