// WebSocketConnection's sockets: reading, writing, and the ways in which a connection ends.

#include <algorithm>

#include "gateway/request_id.h"
#include "gateway/websocket_connection.h"

namespace headwater::gateway {
namespace {

/// Messages up to this size take less time to parse than a change of threads is worth.
constexpr std::size_t kParsedInPlace = 64 << 10;
/// Read and written at once: so much is a sign of life. Frames of more go out in fragments.
constexpr std::size_t kPiece = 64 << 10;
/// How long one that is cut off has to take the piece being written and the close frame.
constexpr auto kCutOffPatience = std::chrono::seconds(5);
/// How long the answer to a close frame may take behind the piece being written.
constexpr auto kClosePatience = std::chrono::seconds(10);
/// After the close frames, until the peer closes its side.
constexpr auto kLinger = std::chrono::seconds(2);
constexpr std::size_t kLingerBytes = 16 << 20;
constexpr std::uint16_t kMaxCloseCode = 4999;

beast::string_view view(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void WebSocketConnection::start(std::shared_ptr<WebSocketConnection> connection, HttpRequest upgrade) {
  connection->hub_.connections.add(connection);
  net::co_spawn(
      connection->strand_,
      [connection, upgrade = std::move(upgrade)]() mutable { return connection->run(std::move(upgrade)); },
      log_failure);
}

void WebSocketConnection::end(bool at_once) {
  net::post(strand_, [self = shared_from_this(), at_once] {
    if (at_once) return self->close_socket();
    self->finish(websocket::close_code::going_away, "the server is shutting down", self->hub_.options.write_timeout);
  });
}

void WebSocketConnection::make_room() {
  net::post(strand_, [self = shared_from_this()] {
    if (self->idle_since() == 0) return self->stay();
    self->finish(websocket::close_code::try_again_later, "idle, and others need the place", kCutOffPatience);
  });
}

Awaitable<void> WebSocketConnection::run(HttpRequest upgrade) {
  std::exception_ptr failure;
  bool polite = false;
  try {
    if (!co_await accept(upgrade)) co_return close_socket();
    polite = co_await read_frames();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    log_failure(failure);
    cut_off(websocket::close_code::internal_error, "the server failed to read a message");
    polite = serving_ && !closed_;
  }
  // What is being sent goes first, and at last the close frame.
  while (polite && !writing_ended_ && !closed_) co_await writing_over_.wait();
  if (polite && !closed_) co_await linger();
  close_socket();
}

Awaitable<bool> WebSocketConnection::accept(HttpRequest& upgrade) {
  beast::get_lowest_layer(socket_).expires_never();
  websocket::stream_base::timeout timeouts{};
  timeouts.handshake_timeout = hub_.options.header_timeout;
  timeouts.idle_timeout = websocket::stream_base::none();  // watch() looks after it
  timeouts.keep_alive_pings = false;
  socket_.set_option(timeouts);
  socket_.read_message_max(hub_.options.max_body_bytes);
  socket_.auto_fragment(false);
  socket_.set_option(websocket::stream_base::decorator([id = id_](websocket::response_type& response) {
    response.set(view(kRequestIdHeader), id);
    response.set(http::field::server, "headwater");
    response.set(http::field::date, http_date(std::chrono::system_clock::now()));
  }));
  socket_.control_callback([this](websocket::frame_type kind, beast::string_view) { on_control(kind); });

  IoError error;
  co_await socket_.async_accept(upgrade, into(error));
  hub_.metrics.count_response(error ? 400 : 101);
  if (error) co_return false;
  const auto on_batch = [this](const std::vector<TokenEvent>& events) {
    try {
      on_events(events);
    } catch (...) {
      log_failure(std::current_exception());
      close_socket();
    }
  };
  bridge_.emplace(hub_.runtime, hub_.metrics, strand_, on_batch, [this] { close_socket(); });
  heard_ = Clock::now();
  note_work();
  const auto ended = [self = shared_from_this()](const std::exception_ptr& failure) {
    log_failure(failure);
    self->writing_ended_ = true;
    if (failure) return self->close_socket();
    self->writing_over_.notify();
  };
  net::co_spawn(
      strand_, [self = shared_from_this()] { return self->write_frames(); }, ended);
  net::co_spawn(
      strand_, [self = shared_from_this()] { return self->watch(); }, log_failure);
  serving_ = true;
  co_return true;
}

Awaitable<bool> WebSocketConnection::read_frames() {
  for (;;) {
    beast::flat_buffer buffer;
    const IoError error = co_await read_message(buffer);
    if (error) {
      // Beast has answered a close frame, or has sent one because the peer broke the protocol: nothing may follow it.
      if (error.category() == make_error_code(websocket::error::closed).category()) {
        close_sent_ = peer_closing_ = true;
        finish(websocket::close_code::normal, "", kClosePatience);
        queue_changed_.notify();
      }
      co_return !closed_ && closing_;
    }
    if (!bridge_ || closing_) continue;  // only the peer's close frame is waited for
    set_busy();
    if (!socket_.got_text()) {
      refuse_bad(std::nullopt, {ErrorCode::invalid_request, "binary frames are not understood; send JSON as text", ""});
    } else {
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
    const auto kept = account_.keep_input(0);
    note_work();
  }
}

Awaitable<IoError> WebSocketConnection::read_message(beast::flat_buffer& buffer) {
  IoError error;
  do {
    co_await socket_.async_read_some(buffer, kPiece, into(error));
    if (error) co_return error;
    heard_ = Clock::now();
    answers_ping_ = true;
    if (closing_) buffer.clear();
    if (const auto kept = account_.keep_input(buffer.size()); !kept) {
      hub_.metrics.count_refused(kept.error().code);
      finish(websocket::close_code::try_again_later, "the server has no room for this message now", kCutOffPatience);
    }
  } while (!socket_.is_message_done());
  co_return error;
}

Awaitable<void> WebSocketConnection::write_frames() {
  IoError error;
  while (!error && !closed_ && !peer_closing_ && !cut_off_) {
    if (queue_.empty()) {
      if (closing_) break;
      co_await queue_changed_.wait();
      continue;
    }
    const std::string frame = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= frame.size();
    error = co_await write_frame(frame);
    note_work();
  }
  if (error || closed_ || peer_closing_ || close_sent_ || !closing_) co_return;
  close_sent_ = true;
  co_await socket_.async_close(*closing_, into(error));
}

Awaitable<IoError> WebSocketConnection::write_frame(const std::string& frame) {
  IoError error;
  std::size_t sent = 0;
  do {
    writing_bytes_ = frame.size() - sent;
    account_.keep_output(queued_bytes_ + writing_bytes_);
    const std::size_t n = std::min(kPiece, writing_bytes_);
    const net::const_buffer piece = net::buffer(frame.data() + sent, n);
    socket_.text(true);
    co_await socket_.async_write_some(n == writing_bytes_, piece, into(error));
    written_ = Clock::now();
    sent += n;
  } while (!error && sent < frame.size() && !cut_off_ && !peer_closing_);
  writing_bytes_ = 0;
  account_.keep_output(queued_bytes_);
  co_return error;
}

void WebSocketConnection::on_control(websocket::frame_type kind) {
  heard_ = Clock::now();
  answers_ping_ = true;
  if (kind != websocket::frame_type::close || peer_closing_) return;
  peer_closing_ = true;
  finish(websocket::close_code::normal, "", kClosePatience);
  drop_requests();
  // Codes that do not exist would be sent back as they are. Source: RFC 6455, section 7.4.2.
  if (socket_.reason().code <= kMaxCloseCode || close_sent_) return;
  close_sent_ = true;
  socket_.async_close(websocket::close_code::protocol_error, [self = shared_from_this()](const IoError&) {});
}

Awaitable<void> WebSocketConnection::watch() {
  const auto& options = hub_.options;
  const auto shortest = std::min({options.idle_timeout, options.write_timeout, options.stall_timeout});
  const auto tick = std::clamp(shortest / 4, std::chrono::milliseconds(5), std::chrono::milliseconds(1000));
  while (!closed_) {
    const auto next = Clock::now() + tick;
    co_await watch_pause_.wait_until(next);
    if (!closed_) look_after(Clock::now());
  }
}

void WebSocketConnection::look_after(Clock::time_point now) {
  if (closing_) {
    if (now >= close_by_) close_socket();
    return;
  }
  const auto& options = hub_.options;
  if (writing_bytes_ > 0 || !queue_.empty()) {
    const auto patience = queued_bytes_ > options.max_unsent_bytes ? options.stall_timeout : options.write_timeout;
    if (now - written_ < patience) return;
    return cut_off(websocket::close_code::policy_error, "too slow: the answers are not being read");
  }
  const auto silent = now - std::max(heard_, written_);
  if (silent >= options.idle_timeout) {
    return cut_off(websocket::close_code::policy_error, "no sign of life");
  }
  if (silent < options.idle_timeout / 2 || pinging_ || !answers_ping_) return;
  pinging_ = true;
  answers_ping_ = false;
  socket_.async_ping({}, [self = shared_from_this()](const IoError&) { self->pinging_ = false; });
}

void WebSocketConnection::finish(websocket::close_code code, std::string_view reason,
                                 std::chrono::milliseconds patience) {
  if (closing_ || closed_) return;
  closing_.emplace(code, view(reason));
  close_by_ = Clock::now() + patience;
  set_busy();
  queue_changed_.notify();
}

void WebSocketConnection::cut_off(websocket::close_code code, std::string_view reason) {
  if (cut_off_ || closed_) return;
  cut_off_ = true;
  closing_.emplace(code, view(reason));
  close_by_ = Clock::now() + kCutOffPatience;
  queue_.clear();  // the frame being written has been taken out already
  queued_bytes_ = 0;
  account_.keep_output(writing_bytes_);
  drop_requests();
  set_busy();
  queue_changed_.notify();
}

void WebSocketConnection::note_work() {
  if (closing_ || closed_ || !live_.empty() || !queue_.empty() || writing_bytes_ > 0) return set_busy();
  set_idle();
}

Awaitable<void> WebSocketConnection::linger() {
  IoError error;
  auto& stream = beast::get_lowest_layer(socket_);
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_send, error);
  stream.expires_after(kLinger);
  char scrap[8192];
  for (std::size_t read = 0; !error && read < kLingerBytes;) {
    read += co_await stream.async_read_some(net::buffer(scrap), into(error));
  }
}

void WebSocketConnection::close_socket() {
  closed_ = true;
  set_busy();
  beast::get_lowest_layer(socket_).close();
  queue_changed_.notify();
  writing_over_.notify();
  watch_pause_.notify();
  queue_.clear();
  queued_bytes_ = 0;
  drop_requests();  // last: it writes to the log, which may throw for want of memory
}

}  // namespace headwater::gateway
