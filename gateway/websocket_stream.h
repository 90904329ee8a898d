#pragma once
// The TCP stream below a WebSocket.

#include "gateway/asio.h"

namespace headwater::gateway {

/// A tcp_stream that stays open after the close frames. Beast would close it with input unread, which resets the
/// connection and so may take the close frame from the peer; WebSocketConnection lingers instead.
class WebSocketStream : public beast::tcp_stream {
 public:
  explicit WebSocketStream(beast::tcp_stream&& stream) : beast::tcp_stream(std::move(stream)) {}
};

/// Found by Beast when the close frames have been exchanged.
template <class Handler>
void async_teardown(beast::role_type, WebSocketStream& stream, Handler&& handler) {
  net::post(stream.get_executor(), beast::bind_front_handler(std::forward<Handler>(handler), beast::error_code()));
}

}  // namespace headwater::gateway
