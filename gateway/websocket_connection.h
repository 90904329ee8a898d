#pragma once
// One WebSocket: many requests at once in the frames of native_dialect.h.
//
// Writes are queued, since a WebSocket takes one at a time. A reader that takes nothing is cut off with close code
// 1008, and its requests are cancelled: soon where more than max_unsent_bytes are queued, else after write_timeout.
// Threading: everything runs on the connection's strand, but for what Connection lets any thread call.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "gateway/bridge.h"
#include "gateway/conversations.h"
#include "gateway/http_reply.h"
#include "gateway/hub.h"
#include "gateway/native_dialect.h"
#include "gateway/request_log.h"
#include "gateway/signal.h"
#include "gateway/websocket_stream.h"

namespace headwater::gateway {

class WebSocketConnection : public Connection, public std::enable_shared_from_this<WebSocketConnection> {
 public:
  /// `tenant`: see ApiKeys. `id`: of the upgrade, and the beginning of those of all requests.
  WebSocketConnection(Hub& hub, beast::tcp_stream stream, ConnectionSlot slot, std::string tenant, std::string id);
  ~WebSocketConnection() override;

  /// Answers the upgrade and serves until the connection ends.
  static void start(std::shared_ptr<WebSocketConnection> connection, HttpRequest upgrade);

  void end(bool at_once) override;
  void make_room() override;

 private:
  using Clock = std::chrono::steady_clock;

  // What frames mean.
  void on_frame(ClientFrame frame);
  /// One that is not understood; after too many of them the connection ends.
  void refuse_bad(const std::optional<std::string>& id, const Error& error);
  void generate(GenerateFrame frame);
  /// Puts the session's messages before the request's.
  Result<std::unique_ptr<Turn>> begin_turn(Request& request);
  void cancel(const CancelFrame& frame);
  void end_session(const EndSessionFrame& frame);
  void on_events(const std::vector<TokenEvent>& events);

  RequestRecord record_of(std::string_view name) const;
  /// Answers a frame that is no request with why, notes and counts it.
  void refuse_frame(const std::optional<std::string>& name, const Error& error);
  /// The same of what the runtime has refused, which it has counted.
  void refuse(const std::optional<std::string>& name, const Error& error);

  void send(const Json& frame);

  // How they come and go.
  Awaitable<void> run(HttpRequest upgrade);
  Awaitable<bool> accept(HttpRequest& upgrade);
  /// True: the close frames have been exchanged, or will be by write_frames().
  Awaitable<bool> read_frames();
  Awaitable<IoError> read_message(beast::flat_buffer& buffer);
  Awaitable<void> write_frames();
  Awaitable<IoError> write_frame(const std::string& frame);
  void on_control(websocket::frame_type kind);
  /// Looks after a peer that gives no sign of life or takes nothing.
  Awaitable<void> watch();
  void look_after(Clock::time_point now);

  /// Cancels everything.
  void drop_requests();
  /// Closes when what is queued has been sent.
  void finish(websocket::close_code code, std::string_view reason, std::chrono::milliseconds patience);
  /// Cancels everything, drops what is queued, and closes as soon as the piece being written is through.
  void cut_off(websocket::close_code code, std::string_view reason);
  /// Reads until the peer has closed, for what was written last to arrive.
  Awaitable<void> linger();
  void close_socket();
  void note_work();

  Hub& hub_;
  const Executor strand_;
  websocket::stream<WebSocketStream> socket_;
  ConnectionSlot slot_;
  BufferAccount account_;
  const std::string tenant_;
  const std::string id_;
  std::unordered_map<std::string, RequestId> request_of_;
  struct Live {
    std::string name;            ///< the client's
    std::unique_ptr<Turn> turn;  ///< of a session; null: none
    RequestRecord record{};
    std::uint64_t tokens = 0;  ///< that have come
  };
  std::unordered_map<RequestId, Live> live_;
  std::size_t bad_frames_ = 0;  ///< in a row

  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;   ///< in the queue
  std::size_t writing_bytes_ = 0;  ///< of the frame being written, what is left of it
  Signal queue_changed_;
  Signal writing_over_;
  Signal watch_pause_;
  Clock::time_point heard_;    ///< the peer's last sign of life
  Clock::time_point written_;  ///< when it last took something, or was last sent something after a pause
  bool pinging_ = false;
  bool answers_ping_ = true;  ///< off: a ping has been sent, and nothing has come since
  std::optional<websocket::close_reason> closing_;
  Clock::time_point close_by_;    ///< closing_: when the socket is closed whatever has been sent
  bool cut_off_ = false;          ///< closing_ without what is queued
  bool close_sent_ = false;       ///< our close frame has been given to the socket
  bool peer_closing_ = false;     ///< the peer's close frame has come, or it broke the protocol
  bool serving_ = false;          ///< write_frames() and watch() have been started
  bool writing_ended_ = false;    ///< write_frames() is through
  bool closed_ = false;           ///< the socket
  std::optional<Bridge> bridge_;  ///< none: nothing is accepted any more
};

}  // namespace headwater::gateway
