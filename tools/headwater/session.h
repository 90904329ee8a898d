#pragma once
// A runtime for one person at a terminal: asks one request at a time and hands out the text as it comes.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "headwater/runtime.h"
#include "tools/headwater/command.h"

namespace headwater::tools {

/// The options that `run` and `chat` share.
struct SessionOptions {
  std::string model = kDefaultModel;
  std::optional<std::string> chat_template;
  std::optional<std::string> pre_tokenizer;
  std::string system;
  std::uint32_t max_tokens = 1024;
  std::optional<float> temperature;  ///< none: the model's
  std::optional<std::uint64_t> seed;
  std::uint32_t threads = 0;
  std::optional<std::string> precision;
  std::optional<std::string> quant_policy;
};

void add_session_options(CLI::App& command, SessionOptions& options);

class Session {
 public:
  /// Loads the model; returns when it can answer.
  static Result<std::unique_ptr<Session>> open(const SessionOptions& options);

  /// How tokens are chosen under `options`, and as the model wants it where those say nothing.
  SamplingParams params(const SessionOptions& options) const;

  /// Asks and waits for the end. `on_text` gets the answer in pieces, on the calling thread. `interrupted`, asked
  /// several times a second, cancels. The event is terminal; an answer that fails is an Error.
  Result<TokenEvent> ask(
      Request request, const std::function<void(const std::string&)>& on_text,
      const std::function<bool()>& interrupted = [] { return false; });

 private:
  explicit Session(std::unique_ptr<Runtime> runtime);

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<TokenEvent> events_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Client> client_;  // last: goes before everything that its events touch
};

}  // namespace headwater::tools
