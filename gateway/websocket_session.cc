#include "gateway/websocket_session.h"

#include "gateway/answer_size.h"
#include "gateway/http_routes.h"
#include "gateway/request_id.h"

namespace headwater::gateway {
namespace {

/// Messages up to this size take less time to parse than a change of threads is worth.
constexpr std::size_t kParsedInPlace = 64 << 10;
/// How long a slow reader has to take the write under way and then the close frame.
constexpr auto kCutOffPatience = std::chrono::seconds(2);

beast::string_view view(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

WebSocketSession::WebSocketSession(Hub& hub, beast::tcp_stream stream, SessionSlot slot, std::string tenant,
                                   std::string id)
    : hub_(hub),
      strand_(stream.get_executor()),
      socket_(std::move(stream)),
      slot_(std::move(slot)),
      tenant_(std::move(tenant)),
      id_(std::move(id)),
      queue_changed_(strand_),
      cut_off_timer_(strand_) {
  hub_.metrics.connection_opened();
}

WebSocketSession::~WebSocketSession() {
  hub_.sessions.remove(this);
  hub_.metrics.connection_closed();
}

void WebSocketSession::start(std::shared_ptr<WebSocketSession> session, HttpRequest upgrade) {
  session->hub_.sessions.add(session);
  net::co_spawn(
      session->strand_, [session, upgrade = std::move(upgrade)]() mutable { return session->run(std::move(upgrade)); },
      log_failure);
}

void WebSocketSession::end(bool at_once) {
  net::post(strand_, [self = shared_from_this(), at_once] {
    if (at_once) return self->close_socket();
    if (!self->closing_) self->closing_.emplace(websocket::close_code::going_away, "the server is shutting down");
    self->queue_changed_.notify();
  });
}

Awaitable<void> WebSocketSession::run(HttpRequest upgrade) {
  beast::get_lowest_layer(socket_).expires_never();  // the WebSocket has timeouts of its own
  websocket::stream_base::timeout timeouts{};
  timeouts.handshake_timeout = hub_.options.header_timeout;
  timeouts.idle_timeout = hub_.options.idle_timeout;
  timeouts.keep_alive_pings = true;
  socket_.set_option(timeouts);
  socket_.read_message_max(hub_.options.max_body_bytes);
  socket_.set_option(websocket::stream_base::decorator([id = id_](websocket::response_type& response) {
    response.set(http::field::server, "headwater");
    response.set(view(kRequestIdHeader), id);
  }));

  IoError error;
  co_await socket_.async_accept(upgrade, into(error));
  hub_.metrics.count_response(error ? 400 : 101);
  if (error) co_return close_socket();
  bridge_.emplace(hub_.runtime, hub_.metrics, strand_,
                  [this](const std::vector<TokenEvent>& events) { on_events(events); });
  net::co_spawn(
      strand_, [self = shared_from_this()] { return self->write_frames(); }, log_failure);
  co_await read_frames();
  reading_ = false;
  close_socket();  // a close frame under way would wait for an answer that cannot come any more
}

Awaitable<void> WebSocketSession::read_frames() {
  for (;;) {
    IoError error;
    beast::flat_buffer buffer;
    co_await socket_.async_read(buffer, into(error));
    if (error) co_return;
    if (!bridge_) continue;  // being cut off: only the peer's close frame is waited for
    if (!socket_.got_text()) {
      refuse(std::nullopt, {ErrorCode::invalid_request, "binary frames are not understood; send JSON as text", ""});
      continue;
    }
    const std::string_view text(static_cast<const char*>(buffer.cdata().data()), buffer.size());
    ClientFrame frame;
    IgnoredFields ignored;
    IgnoredFields* const lenient = hub_.options.strict_fields ? nullptr : &ignored;
    const auto work = [&] { frame = parse_frame(text, hub_.model, lenient); };
    if (text.size() > kParsedInPlace) {
      co_await run_in(hub_.workers, work);
    } else {
      work();
    }
    hub_.unknown_fields.tell(ignored);
    on_frame(std::move(frame));
  }
}

void WebSocketSession::on_frame(ClientFrame frame) {
  if (!bridge_) return;
  if (auto* bad = std::get_if<BadFrame>(&frame)) {
    hub_.metrics.count_refused();
    refuse(bad->id, bad->error);
  } else if (auto* wanted = std::get_if<GenerateFrame>(&frame)) {
    generate(std::move(*wanted));
  } else if (const auto* ended = std::get_if<EndSessionFrame>(&frame)) {
    end_session(*ended);
  } else {
    cancel(std::get<CancelFrame>(frame));
  }
}

void WebSocketSession::generate(GenerateFrame frame) {
  if (request_of_.contains(frame.id)) {
    hub_.metrics.count_refused();
    return refuse(frame.id, {ErrorCode::duplicate_id,
                             "a request with this id is under way on this connection; choose another", "id"});
  }
  if (const auto fits = check_answer_size(frame.request, hub_.model, hub_.options.max_answer_bytes); !fits) {
    hub_.metrics.count_refused();
    return refuse(frame.id, fits.error());
  }
  frame.request.tenant = tenant_;
  std::unique_ptr<Turn> turn;
  std::optional<std::size_t> messages;
  if (!frame.request.session.empty()) {
    auto begun = begin_turn(frame.request);
    if (!begun) {
      hub_.metrics.count_refused();
      return refuse(frame.id, begun.error());
    }
    turn = std::move(*begun);
    messages = std::get<std::vector<ChatMessage>>(frame.request.prompt).size();
  }
  const auto ticket = bridge_->submit(std::move(frame.request));
  if (!ticket) return refuse(frame.id, ticket.error());
  request_of_[frame.id] = ticket->id;
  live_[ticket->id] = {frame.id, std::move(turn), record_of(frame.id)};
  send(accepted_frame(frame.id, *ticket, messages));
}

Result<std::unique_ptr<Turn>> WebSocketSession::begin_turn(Request& request) {
  const Conversations::Name name{tenant_, request.session};
  auto& messages = std::get<std::vector<ChatMessage>>(request.prompt);
  std::optional<std::chrono::milliseconds> ttl;
  if (request.cache.ttl_ms) ttl = std::chrono::milliseconds(*request.cache.ttl_ms);
  auto all = hub_.conversations.begin(name, messages, ttl, std::chrono::steady_clock::now());
  if (!all) return all.error();
  messages = std::move(*all);
  return std::make_unique<Turn>(hub_.conversations, name);
}

void WebSocketSession::cancel(const CancelFrame& frame) {
  const auto found = request_of_.find(frame.id);
  if (found == request_of_.end()) {
    return send(error_frame(
        frame.id,
        {ErrorCode::not_found, "no request with this id is under way on this connection; it may have ended", "id"}));
  }
  bridge_->cancel(found->second);
}

void WebSocketSession::end_session(const EndSessionFrame& frame) {
  const auto ended = hub_.end_session(tenant_, frame.session);
  send(ended ? session_ended_frame(frame) : error_frame(frame.id, ended.error()));
}

void WebSocketSession::on_events(const std::vector<TokenEvent>& events) {
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
}

RequestRecord WebSocketSession::record_of(std::string_view name) const {
  RequestRecord record;
  record.id = id_ + "/" + loggable_id(name);
  record.method = "WS";
  record.route = path_of(Endpoint::stream);
  record.client = client_name(tenant_);
  record.begun = std::chrono::steady_clock::now();
  return record;
}

void WebSocketSession::refuse(const std::optional<std::string>& name, const Error& error) {
  RequestRecord record = record_of(name.value_or(""));
  record.error = name_of(error.code);
  hub_.log.ended(record);
  send(error_frame(name, error));
}

void WebSocketSession::send(const Json& frame) {
  if (closing_) return;
  // Looked at before the frame is added, so that one large frame never counts as a slow reader.
  if (queued_bytes_ > hub_.options.max_unsent_bytes) {
    return cut_off(websocket::close_code::policy_error, "too slow: the answers are not being read");
  }
  queue_.push_back(to_text(frame));
  queued_bytes_ += queue_.back().size();
  queue_changed_.notify();
}

void WebSocketSession::cut_off(websocket::close_code code, std::string_view reason) {
  closing_.emplace(code, view(reason));
  queue_.clear();  // the frame being written has been taken out already
  queued_bytes_ = 0;
  drop_requests();
  cut_off_timer_.expires_after(kCutOffPatience);
  cut_off_timer_.async_wait([weak = weak_from_this()](const IoError& error) {
    const auto self = weak.lock();
    if (self && !error) self->close_socket();
  });
  queue_changed_.notify();
}

Awaitable<void> WebSocketSession::write_frames() {
  IoError error;
  while (!error && reading_) {
    if (queue_.empty()) {
      if (closing_) break;
      co_await queue_changed_.wait();
      continue;
    }
    const std::string frame = std::move(queue_.front());
    queue_.pop_front();
    socket_.text(true);
    co_await socket_.async_write(net::buffer(frame), into(error));
    queued_bytes_ -= std::min(queued_bytes_, frame.size());
  }
  if (!error && reading_ && closing_) co_await socket_.async_close(*closing_, into(error));
  close_socket();
}

void WebSocketSession::drop_requests() {
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

void WebSocketSession::close_socket() {
  drop_requests();
  cut_off_timer_.cancel();
  beast::get_lowest_layer(socket_).close();
  queue_changed_.notify();
}

}  // namespace headwater::gateway
