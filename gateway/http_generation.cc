// HttpSession's answers that take a while: chat and completions, whole or as a stream of events.

#include "gateway/answer_size.h"
#include "gateway/api_error.h"
#include "gateway/http_session.h"
#include "gateway/openai_chat.h"
#include "gateway/openai_completions.h"
#include "gateway/sse.h"

namespace headwater::gateway {
namespace {

/// A stream whose first token takes longer begins with a comment, and has one in every such pause.
constexpr auto kSilence = std::chrono::seconds(15);
/// Bodies up to this size take less time to parse than a change of threads is worth.
constexpr std::size_t kParsedInPlace = 64 << 10;
/// Requests that a client may send ahead while it is being answered.
constexpr std::size_t kMaxAhead = 64 << 10;

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
  const auto json = parse_json(body);
  if (!json) return json.error();
  IgnoredFields ignored;
  IgnoredFields* const lenient = hub.options.strict_fields ? nullptr : &ignored;
  auto call =
      endpoint == Endpoint::chat ? parse_chat(*json, hub.model, lenient) : parse_completion(*json, hub.model, lenient);
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

Awaitable<bool> HttpSession::generate(Endpoint endpoint, const std::string& tenant, const HttpRequest& request) {
  std::optional<Result<GenerateCall>> call;
  const auto work = [&] { call = parse_call(hub_, endpoint, request.body()); };
  if (request.body().size() > kParsedInPlace) {
    co_await run_in(hub_.workers, work);
  } else {
    work();
  }
  if (!*call) {
    hub_.metrics.count_refused();
    co_return co_await reply_error(call->error(), request);
  }
  GenerateCall& parsed = **call;
  parsed.base.tenant = tenant;
  const bool stream = parsed.stream;
  const Dialect& dialect = endpoint == Endpoint::chat ? chat_dialect() : completions_dialect();
  Generation generation(hub_, strand_, std::move(parsed), dialect);
  if (const auto started = generation.start(); !started) {
    co_return co_await reply_error(started.error(), request);
  }

  generation_ = &generation;
  watching_ = watch_wanted_ = true;
  net::co_spawn(
      strand_, [self = shared_from_this(), &generation] { return self->watch(generation); }, log_failure);
  const bool go_on = co_await await_answer(generation, request, stream);
  co_await stop_watching();
  record_->generated = generation.generated();
  generation_ = nullptr;
  co_return go_on && !peer_gone_;
}

Awaitable<bool> HttpSession::await_answer(Generation& generation, const HttpRequest& request, bool stream) {
  const auto silence = net::steady_timer::clock_type::now() + kSilence;
  while (!generation.ended() && !generation.abandoned()) {
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

Awaitable<bool> HttpSession::stream_answer(Generation& generation, const HttpRequest& request) {
  const bool chunked = request.version() >= 11;
  http::response<http::empty_body> head(http::status::ok, request.version());
  head.set(http::field::server, "headwater");
  head.set(http::field::content_type, "text/event-stream; charset=utf-8");
  head.set(http::field::cache_control, "no-cache");
  head.set("X-Accel-Buffering", "no");
  head.chunked(chunked);
  head.keep_alive(chunked && request.keep_alive() && !ending_ && hub_.accepting);
  answer_with(head);

  IoError error;
  http::response_serializer<http::empty_body> serializer(head);
  stream_.expires_after(hub_.options.write_timeout);
  co_await http::async_write_header(stream_, serializer, into(error));
  for (bool last = false; !error && !last;) {
    if (generation.abandoned()) co_return false;
    last = generation.ended();
    std::string text = generation.take_output();
    if (text.empty()) {
      const auto deadline = net::steady_timer::clock_type::now() + kSilence;
      co_await generation.changed().wait_until(deadline);
      if (net::steady_timer::clock_type::now() < deadline) continue;
      text = kSseComment;
    }
    if (!co_await write_chunk(text, chunked)) co_return false;
  }
  if (error) co_return false;
  if (chunked) {
    const auto last_chunk = http::make_chunk_last();
    co_await net::async_write(stream_, last_chunk, into(error));
  }
  co_return !error && head.keep_alive();
}

Awaitable<bool> HttpSession::write_chunk(const std::string& text, bool chunked) {
  IoError error;
  stream_.expires_after(hub_.options.write_timeout);
  const net::const_buffer data = net::buffer(text);
  if (chunked) {
    const auto chunk = http::make_chunk(data);
    co_await net::async_write(stream_, chunk, into(error));
  } else {
    co_await net::async_write(stream_, data, into(error));
  }
  co_return !error;
}

Awaitable<void> HttpSession::watch(Generation& generation) {
  IoError error;
  while (watch_wanted_ && !error && buffer_.size() < kMaxAhead) {
    stream_.expires_never();  // for this read; a write under way keeps its deadline
    const std::size_t n = co_await stream_.async_read_some(buffer_.prepare(4096), into(error));
    buffer_.commit(n);
  }
  watching_ = false;
  if (error && error != net::error::operation_aborted) {
    peer_gone_ = true;
    generation.abandon();
  }
  watch_ended_.notify();
}

Awaitable<void> HttpSession::stop_watching() {
  watch_wanted_ = false;
  if (watching_) stream_.cancel();
  while (watching_) co_await watch_ended_.wait();
}

}  // namespace headwater::gateway
