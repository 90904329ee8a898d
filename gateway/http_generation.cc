// HttpConnection's answers that take a while: chat and completions, whole or as a stream of events.

#include <poll.h>

#include "gateway/answer_size.h"
#include "gateway/api_error.h"
#include "gateway/http_connection.h"
#include "gateway/openai_chat.h"
#include "gateway/openai_completions.h"
#include "gateway/shared_fields.h"
#include "gateway/sse.h"

namespace headwater::gateway {
namespace {

/// A stream whose first token takes longer begins with a comment, and has one in every such pause.
constexpr auto kSilence = std::chrono::seconds(15);
/// Bodies up to this size take less time to parse than a change of threads is worth.
constexpr std::size_t kParsedInPlace = 64 << 10;
/// Read at once of what a client sends ahead while it is being answered. What the buffer has no room for waits.
constexpr std::size_t kReadAhead = 4096;
/// How often a peer of which nothing can be read is looked at, and when something is written to it to learn more.
constexpr auto kLookAgain = std::chrono::milliseconds(250);
constexpr auto kFirstProbe = std::chrono::seconds(1);
constexpr auto kNextProbe = std::chrono::seconds(5);

/// Whether the connection was reset.
bool is_reset(int socket) {
  pollfd asked{socket, 0, 0};
  return poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

Result<void> add_echo(const Runtime& runtime, GenerateCall& call) {
  for (const Prompt& prompt : call.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      call.echo_texts.push_back(*text);
      continue;
    }
    auto text = runtime.detokenize(std::get<std::vector<TokenId>>(prompt));
    if (!text) return Error{text.error().code, text.error().message, "prompt"};
    call.echo_texts.push_back(std::move(*text));
  }
  return {};
}

Result<GenerateCall> parse_call(Hub& hub, Endpoint endpoint, const std::string& body) {
  const auto json = parse_request(body, hub.model);
  if (!json) return json.error();
  IgnoredFields ignored;
  IgnoredFields* const lenient = hub.options.strict_fields ? nullptr : &ignored;
  auto call = endpoint == Endpoint::chat ? parse_chat(*json, hub.model, lenient, body)
                                         : parse_completion(*json, hub.model, lenient);
  hub.unknown_fields.tell(ignored);
  if (call) {
    const auto fits = check_answer_size(*call, hub.model, hub.options.max_answer_bytes);
    if (!fits) return fits.error();
  }
  if (call && call->echo) {
    if (const auto added = add_echo(hub.runtime, *call); !added) return added.error();
  }
  return call;
}

}  // namespace

Awaitable<bool> HttpConnection::generate(Endpoint endpoint, const std::string& tenant, HttpRequest& request) {
  std::optional<Result<GenerateCall>> call;
  const auto work = [&] { call = parse_call(hub_, endpoint, request.body()); };
  if (request.body().size() > kParsedInPlace) {
    co_await run_in(hub_.workers, work);
  } else {
    work();
  }
  if (!*call) {
    hub_.metrics.count_refused(call->error().code);
    co_return co_await reply_error(call->error(), request);
  }
  drop_body(request);
  GenerateCall& parsed = **call;
  parsed.base.tenant = tenant;
  const bool stream = parsed.stream;
  const Dialect& dialect = endpoint == Endpoint::chat ? chat_dialect() : completions_dialect();
  Generation generation(hub_, strand_, std::move(parsed), dialect, account_);
  if (const auto started = generation.start(); !started) {
    co_return co_await reply_error(started.error(), request);
  }

  std::exception_ptr failure;
  bool go_on = false;
  generation_ = &generation;
  try {
    start_watching(generation);
    go_on = co_await await_answer(generation, request, stream);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await stop_watching();  // it refers to the generation
  record_->generated = generation.generated();
  generation_ = nullptr;
  if (failure) std::rethrow_exception(failure);
  co_return go_on;
}

Awaitable<bool> HttpConnection::await_answer(Generation& generation, const HttpRequest& request, bool stream) {
  const auto silence = net::steady_timer::clock_type::now() + kSilence;
  while (!generation.ended() && !generation.abandoned()) {
    if (probe_wanted_) co_await probe(request);
    if (stream && (generation.heard() || net::steady_timer::clock_type::now() >= silence)) break;
    if (stream) {
      co_await generation.changed().wait_until(silence);
    } else {
      co_await generation.changed().wait();
    }
  }
  if (generation.abandoned()) co_return false;
  // A call that fails before its stream has begun can still have the right status.
  if (generation.failure()) co_return co_await reply_error(*generation.failure(), request);
  if (stream) co_return co_await stream_answer(generation, request);
  HttpResponse response = json_reply(generation.whole());
  co_return co_await reply(response, request);
}

Awaitable<bool> HttpConnection::stream_answer(Generation& generation, const HttpRequest& request) {
  const bool chunked = request.version() >= 11;
  http::response<http::empty_body> head(http::status::ok, request.version());
  sign(head);
  head.set(http::field::content_type, "text/event-stream; charset=utf-8");
  head.set(http::field::cache_control, "no-cache");
  head.set("X-Accel-Buffering", "no");
  head.chunked(chunked);
  head.keep_alive(chunked && request.keep_alive() && !ending_ && hub_.accepting);
  begun_ = true;
  answer_with(head);

  IoError error;
  http::response_serializer<http::empty_body> serializer(head);
  stream_.expires_after(hub_.options.write_timeout);
  co_await http::async_write_header(stream_, serializer, into(error));
  for (bool last = false; !error && !last;) {
    if (generation.abandoned()) co_return false;
    last = generation.ended();
    std::string text = generation.take_output();
    if (text.empty() && !std::exchange(probe_wanted_, false)) {
      const auto deadline = net::steady_timer::clock_type::now() + kSilence;
      co_await generation.changed().wait_until(deadline);
      if (net::steady_timer::clock_type::now() < deadline) continue;
    }
    if (text.empty()) text = kSseComment;
    if (!co_await write_chunk(text, chunked)) co_return false;
  }
  if (error) co_return false;
  if (chunked) {
    const std::vector<net::const_buffer> last_chunk{net::buffer("0\r\n\r\n", 5)};
    if (!co_await write_all(last_chunk)) co_return false;
  }
  co_return head.keep_alive();
}

void HttpConnection::start_watching(Generation& generation) {
  const auto ended = [self = shared_from_this()](const std::exception_ptr& failure) {
    log_failure(failure);
    if (failure && self->generation_ != nullptr) self->generation_->abandon();
    self->watching_ = false;
    self->watch_ended_.notify();
  };
  watch_wanted_ = watching_ = true;
  try {
    net::co_spawn(
        strand_, [self = shared_from_this(), &generation] { return self->watch(generation); }, ended);
  } catch (...) {
    watching_ = false;
    throw;
  }
}

Awaitable<void> HttpConnection::watch(Generation& generation) {
  using Clock = net::steady_timer::clock_type;
  IoError error;
  while (watch_wanted_ && !error && !peer_done_ && buffer_.size() + kReadAhead <= buffer_.max_size()) {
    stream_.expires_never();  // for this read; a write under way keeps its deadline
    const std::size_t n = co_await stream_.async_read_some(buffer_.prepare(kReadAhead), into(error));
    buffer_.commit(n);
  }
  // The end of what it sends is not yet the end of its reading: only something that is written can tell.
  if (error == net::error::eof) {
    peer_done_ = true;
    error = {};
  }
  for (auto next_probe = Clock::now() + kFirstProbe; watch_wanted_ && !error;) {
    const auto look_again = Clock::now() + kLookAgain;
    co_await watch_pause_.wait_until(look_again);
    if (is_reset(stream_.socket().native_handle())) error = net::error::connection_reset;
    if (Clock::now() < next_probe) continue;
    next_probe = Clock::now() + kNextProbe;
    probe_wanted_ = true;
    generation.changed().notify();
  }
  if (error && error != net::error::operation_aborted) {
    ending_ = true;
    generation.abandon();
  }
}

Awaitable<void> HttpConnection::stop_watching() {
  watch_wanted_ = false;
  if (watching_) stream_.cancel();
  watch_pause_.notify();
  while (watching_) co_await watch_ended_.wait();
}

Awaitable<void> HttpConnection::probe(const HttpRequest& request) {
  probe_wanted_ = false;
  if (request.version() < 11) co_return;
  const std::vector<net::const_buffer> pieces{net::buffer(kContinue)};
  co_await write_all(pieces);
}

}  // namespace headwater::gateway
