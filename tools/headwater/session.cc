#include "tools/headwater/session.h"

#include <chrono>
#include <utility>

#include "tools/headwater/model_path.h"

namespace headwater::tools {
namespace {

/// One of everything, for one request at a time; the model comes as an override.
constexpr const char* kTopology = R"(
name: terminal
cache: { cache_size_limit: 1GiB }
stages:
  - { id: tok,   kind: tokenizer,      to: [match] }
  - { id: match, kind: prefix_matcher, to: [sched] }
  - { id: sched, kind: scheduler,      args: { max_batch_size: 1 }, to: [exec] }
  - { id: exec,  kind: executor,       to: [detok], feedback: [sched] }
  - { id: evict, kind: cache_evictor,  feedback: [sched, match] }
  - { id: detok, kind: detokenizer,    to: [gateway] }
)";

constexpr auto kInterruptInterval = std::chrono::milliseconds(100);

}  // namespace

void add_session_options(CLI::App& command, SessionOptions& options) {
  add_model_file(command, options.model)->capture_default_str();
  add_chat_template(command, options.chat_template);
  add_pre_tokenizer(command, options.pre_tokenizer);
  command.add_option("--system", options.system, "instructions that come before the conversation");
  command.add_option("-n,--max-tokens", options.max_tokens, "most tokens of an answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("-t,--temperature", options.temperature,
                  "0: always the likeliest token; higher: more varied; left out: what the model's file names, else 1")
      ->check(CLI::Range(0.0, 100.0));
  command.add_option("--seed", options.seed, "the same seed gives the same answer");
  add_threads(command, options.threads)->capture_default_str();
  add_precision(command, options.precision);
  add_quant_policy(command, options.quant_policy);
  add_trace(command);
}

Session::Session(std::unique_ptr<Runtime> runtime) : runtime_(std::move(runtime)) {
  client_ = runtime_->connect([this](std::span<const TokenEvent> events) {
    const std::lock_guard lock(mutex_);
    events_.insert(events_.end(), events.begin(), events.end());
    arrived_.notify_one();
  });
}

Result<std::unique_ptr<Session>> Session::open(const SessionOptions& options) {
  Overrides overrides;
  overrides.model = options.model;
  overrides.chat_template = options.chat_template;
  overrides.pre_tokenizer = options.pre_tokenizer;
  overrides.threads = options.threads;
  overrides.precision = options.precision;
  overrides.quant_policy = options.quant_policy;
  auto runtime = Runtime::start(kTopology, "the built-in topology", overrides);
  if (!runtime) {
    const bool of_flags = runtime.error().code == ErrorCode::invalid_topology;
    const auto there = check_model_path(options.model);
    return there || of_flags ? runtime.error() : there.error();
  }
  return std::unique_ptr<Session>(new Session(std::move(*runtime)));
}

SamplingParams Session::params(const SessionOptions& options) const {
  SamplingParams params = runtime_->model().sampling;
  params.max_tokens = options.max_tokens;
  if (options.temperature) params.temperature = *options.temperature;
  params.seed = options.seed;
  return params;
}

Result<TokenEvent> Session::ask(Request request, const std::function<void(const std::string&)>& on_text,
                                const std::function<bool()>& interrupted) {
  const auto ticket = client_->submit(std::move(request));
  if (!ticket) return ticket.error();
  bool cancelled = false;
  for (;;) {
    std::vector<TokenEvent> events;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait_for(lock, kInterruptInterval, [this] { return !events_.empty(); });
      events.swap(events_);
    }
    if (!cancelled && interrupted()) {
      client_->cancel(ticket->id);
      cancelled = true;
    }
    for (TokenEvent& event : events) {
      if (event.kind == TokenEvent::Kind::failed) return event.error;
      if (!event.text.empty()) on_text(event.text);
      if (event.terminal()) return std::move(event);
    }
  }
}

}  // namespace headwater::tools
