#pragma once
// One HTTP/1.1 connection: reads requests one after the other, within limits, and answers them.

#include <memory>

#include "gateway/generation.h"
#include "gateway/http_reply.h"
#include "gateway/http_routes.h"
#include "gateway/hub.h"
#include "gateway/request_id.h"

namespace headwater::gateway {

class HttpSession : public Session, public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(Hub& hub, net::ip::tcp::socket socket, SessionSlot slot);
  ~HttpSession() override;

  /// Serves until the connection ends. REQUIRES: the socket's executor is a strand of this connection.
  static void start(std::shared_ptr<HttpSession> session);

  void end(bool at_once) override;

 private:
  using Parser = http::request_parser<http::string_body>;

  Awaitable<void> run();
  /// Reads a request and answers it. False: the connection ends.
  Awaitable<bool> serve_one();
  Awaitable<bool> read_header(Parser& parser);
  Awaitable<bool> read_body(Parser& parser);
  Awaitable<bool> dispatch(const Route& route, const std::string& tenant, HttpRequest& request);

  Awaitable<bool> generate(Endpoint endpoint, const std::string& tenant, const HttpRequest& request);
  Awaitable<bool> await_answer(Generation& generation, const HttpRequest& request, bool stream);
  Awaitable<bool> stream_answer(Generation& generation, const HttpRequest& request);
  Awaitable<bool> write_chunk(const std::string& text, bool chunked);
  /// Watches for the end of the connection while an answer is made; requests that come meanwhile are kept.
  Awaitable<void> watch(Generation& generation);
  Awaitable<void> stop_watching();

  // Arguments of awaited calls are named objects: GCC 12 may destroy temporaries there twice.
  Awaitable<bool> reply(HttpResponse& response, const HttpRequest& request);
  Awaitable<bool> reply_error(const Error& error, const HttpRequest& request);
  /// An answer to a request that was not read to its end; the connection cannot be used on.
  Awaitable<bool> refuse(const Error& error, const Route& route);
  Awaitable<void> linger();

  /// The record of a request whose head has been read, or could not be.
  void begin_record(const HttpRequest& request, const Route& route);
  /// Notes an answer's status, and gives it the request's id.
  template <class Response>
  void answer_with(Response& response) {
    if (!record_) begin_record({}, {});
    record_->status = response.result_int();
    response.set(beast::string_view(kRequestIdHeader.data(), kRequestIdHeader.size()), record_->id);
    hub_.metrics.count_response(record_->status);
  }
  void end_record();

  Hub& hub_;
  const Executor strand_;
  beast::tcp_stream stream_;
  SessionSlot slot_;
  Signal watch_ended_;
  beast::flat_buffer buffer_;
  Generation* generation_ = nullptr;     ///< being answered
  std::optional<RequestRecord> record_;  ///< of the request being read or answered
  bool watching_ = false;
  bool watch_wanted_ = false;  ///< off: the answer is there, maybe before the watch has begun
  bool peer_gone_ = false;     ///< Asio would wait forever for a second end of file
  bool reading_ = false;       ///< between requests
  bool ending_ = false;
  bool upgraded_ = false;  ///< a WebSocketSession has the stream now
};

}  // namespace headwater::gateway
