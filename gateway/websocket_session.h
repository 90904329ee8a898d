#pragma once
// One WebSocket: many requests at once in the frames of native_dialect.h.
//
// Writes are queued, since a WebSocket takes one at a time. The queue is bounded in bytes: a reader that falls
// further behind is cut off with close code 1008, and its requests are cancelled.

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

namespace headwater::gateway {

class WebSocketSession : public Session, public std::enable_shared_from_this<WebSocketSession> {
 public:
  /// `tenant`: see ApiKeys. `id`: of the upgrade, and the beginning of those of all requests.
  WebSocketSession(Hub& hub, beast::tcp_stream stream, SessionSlot slot, std::string tenant, std::string id);
  ~WebSocketSession() override;

  /// Answers the upgrade and serves until the connection ends.
  static void start(std::shared_ptr<WebSocketSession> session, HttpRequest upgrade);

  void end(bool at_once) override;

 private:
  Awaitable<void> run(HttpRequest upgrade);
  Awaitable<void> read_frames();
  Awaitable<void> write_frames();

  void on_frame(ClientFrame frame);
  void generate(GenerateFrame frame);
  /// Puts the session's messages before the request's.
  Result<std::unique_ptr<Turn>> begin_turn(Request& request);
  void cancel(const CancelFrame& frame);
  void end_session(const EndSessionFrame& frame);
  void on_events(const std::vector<TokenEvent>& events);

  RequestRecord record_of(std::string_view name) const;
  /// Answers a frame that is no request with why, and notes it.
  void refuse(const std::optional<std::string>& name, const Error& error);

  void send(const Json& frame);
  /// Cancels everything.
  void drop_requests();
  /// Cancels everything, drops what is queued, and closes as soon as the write under way is through.
  void cut_off(websocket::close_code code, std::string_view reason);
  void close_socket();

  Hub& hub_;
  const Executor strand_;
  websocket::stream<beast::tcp_stream> socket_;
  SessionSlot slot_;
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
  std::deque<std::string> queue_;
  std::size_t queued_bytes_ = 0;
  Signal queue_changed_;
  net::steady_timer cut_off_timer_;
  std::optional<websocket::close_reason> closing_;
  bool reading_ = true;
  std::optional<Bridge> bridge_;  ///< none: nothing is accepted any more
};

}  // namespace headwater::gateway
