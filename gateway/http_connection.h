#pragma once
// One HTTP/1.1 connection: reads requests one after the other, within limits, and answers them.

#include <memory>

#include "gateway/generation.h"
#include "gateway/http_reply.h"
#include "gateway/http_routes.h"
#include "gateway/hub.h"
#include "gateway/request_id.h"

namespace headwater::gateway {

/// The interim answer: a client that waits to be asked for its body goes on, any other skips it.
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

class HttpConnection : public Connection, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(Hub& hub, net::ip::tcp::socket socket, ConnectionSlot slot);
  ~HttpConnection() override;

  /// Serves until the connection ends. REQUIRES: the socket's executor is a strand of this connection.
  static void start(std::shared_ptr<HttpConnection> connection);

  void end(bool at_once) override;
  void make_room() override;

 private:
  using Parser = http::request_parser<http::string_body>;

  /// The connection's unsent bytes are too many: ends it. Any thread.
  void shed();
  Awaitable<void> run();
  /// serve_one(), whose exceptions become the request's answer where none has begun, and end the connection.
  Awaitable<bool> serve_guarded();
  /// Reads a request and answers it. False: the connection ends.
  Awaitable<bool> serve_one();
  Awaitable<bool> serve_request(Parser& parser);
  /// Waits for the first byte of a request.
  Awaitable<bool> await_request();
  Awaitable<bool> read_header(Parser& parser);
  Awaitable<bool> read_body(Parser& parser);
  Awaitable<bool> dispatch(const Route& route, const std::string& tenant, HttpRequest& request);

  /// What a browser asks before it lets a page send its request.
  Awaitable<bool> answer_preflight(const Route& route, const HttpRequest& request);
  /// The body has been read into something else.
  void drop_body(HttpRequest& request);

  Awaitable<bool> generate(Endpoint endpoint, const std::string& tenant, HttpRequest& request);
  Awaitable<bool> await_answer(Generation& generation, const HttpRequest& request, bool stream);
  Awaitable<bool> stream_answer(Generation& generation, const HttpRequest& request);
  Awaitable<bool> write_chunk(const std::string& text, bool chunked);
  /// Watches for the end of the connection while an answer is made; requests that come meanwhile are kept.
  void start_watching(Generation& generation);
  Awaitable<void> watch(Generation& generation);
  Awaitable<void> stop_watching();
  /// Writes what a client skips: one that has closed its socket answers with a reset.
  Awaitable<void> probe(const HttpRequest& request);

  // Arguments of awaited calls are named objects: GCC 12 may destroy temporaries there twice.
  Awaitable<bool> reply(HttpResponse& response, const HttpRequest& request);
  Awaitable<bool> reply_error(const Error& error, const HttpRequest& request);
  /// An answer to a request that was not read to its end; the connection cannot be used on.
  Awaitable<bool> refuse(const Error& error, const Route& route);
  Awaitable<bool> refuse(HttpResponse& response, const Error& error);
  void count_unread(const HttpRequest& head, const Error& why);
  Awaitable<void> linger();
  // The peer has `write_timeout` for each piece that it takes, however long all of it takes.
  Awaitable<bool> write(HttpResponse& response);
  Awaitable<bool> write_all(const std::vector<net::const_buffer>& pieces);
  /// What every head has.
  void sign(http::fields& head) const;

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
  ConnectionSlot slot_;
  BufferAccount account_;
  Signal watch_ended_;
  Signal watch_pause_;
  beast::flat_buffer buffer_;
  Generation* generation_ = nullptr;     ///< being answered
  std::optional<RequestRecord> record_;  ///< of the request being read or answered
  bool watching_ = false;
  bool watch_wanted_ = false;  ///< off: the answer is there, maybe before the watch has begun
  bool probe_wanted_ = false;  ///< the peer sends nothing more: does it still read?
  bool peer_done_ = false;     ///< has closed its side, so that no further request comes
  bool reading_ = false;       ///< between requests
  bool ending_ = false;
  bool upgraded_ = false;  ///< a WebSocketConnection has the stream now
  // Of the request being served.
  std::string origin_;   ///< of the page that asks, where it may
  bool begun_ = false;   ///< part of its answer may have been written
  bool unread_ = false;  ///< its body is left unread, so the connection ends with its answer
};

}  // namespace headwater::gateway
