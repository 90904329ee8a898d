// headwater run

#include <memory>
#include <nlohmann/json.hpp>

#include "tools/headwater/session.h"

namespace headwater::tools {
namespace {

struct Options {
  SessionOptions session;
  std::string prompt;
  bool raw = false;
  bool json = false;
};

Request make_request(const Session& session, const Options& options, std::string prompt) {
  Request request;
  request.params = session.params(options.session);
  if (options.raw) {
    request.prompt = std::move(prompt);
    return request;
  }
  std::vector<ChatMessage> messages;
  if (!options.session.system.empty()) messages.push_back({"system", options.session.system});
  messages.push_back({"user", std::move(prompt)});
  request.prompt = std::move(messages);
  return request;
}

std::string as_json(const std::string& text, const TokenEvent& end) {
  const nlohmann::ordered_json object{
      {"text", text},
      {"finish_reason", end.finish_reason == FinishReason::length ? "length" : "stop"},
      {"usage",
       {{"prompt_tokens", end.usage.prompt_tokens},
        {"completion_tokens", end.usage.completion_tokens},
        {"cached_tokens", end.usage.cached_tokens}}},
      {"timings", {{"ttft_ms", end.timings.ttft_ms}, {"total_ms", end.timings.total_ms}}}};
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int run(const Options& options) {
  auto prompt = text_or_stdin(options.prompt);
  if (!prompt) return fail(prompt.error().message);
  auto session = Session::open(options.session);
  if (!session) return fail(session.error());
  std::string text;
  const auto end = (*session)->ask(make_request(**session, options, std::move(*prompt)), [&](const std::string& piece) {
    text += piece;
    if (!options.json) print(piece);
  });
  if (!end) return fail(end.error().message);
  print(options.json ? as_json(text, *end) : "\n");
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("run", "Answer one prompt on the terminal");
  auto options = std::make_shared<Options>();
  command->add_option("PROMPT", options->prompt, "the prompt; - reads standard input")->required();
  add_session_options(*command, options->session);
  auto* raw = command->add_flag("--raw", options->raw, "go on from the prompt as it stands, without a chat template");
  raw->excludes(command->get_option("--system"));
  command->add_flag("--json", options->json, "print one JSON object at the end: text, finish_reason, usage, timings");
  command->footer("Example: headwater run \"Why is the sky blue?\" --max-tokens 100 --temperature 0");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace headwater::tools
