// headwater chat

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <optional>

#include "tools/headwater/line_editor.h"
#include "tools/headwater/session.h"

namespace headwater::tools {
namespace {

volatile std::sig_atomic_t interrupts = 0;

/// While it lives, Ctrl-C counts in `interrupts` instead of ending the program.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupts = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupts = interrupts + 1; };
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ {};
};

constexpr const char* kHelp =
    "/help            this list\n"
    "/system TEXT     sets the instructions that come before the conversation; without TEXT shows them\n"
    "/reset           forgets the conversation\n"
    "/stats           tokens and times of the last answer, and of all\n"
    "/exit, Ctrl-D    ends it; Ctrl-C stops an answer\n"
    "A paste of several lines is one message; a line that ends in \\ goes on in the next.\n";

class Chat {
 public:
  /// `editor`: of a person at a terminal; null for a program.
  Chat(Session& session, const SessionOptions& options, LineEditor* editor)
      : session_(session), options_(options), editor_(editor), system_(options.system) {}

  /// For a person.
  int talk() {
    print("/help tells what there is; Ctrl-D ends it.\n");
    while (const auto line = editor_->read()) {
      if (!take(*line)) break;
    }
    return 0;
  }

  /// For a program, which writes a line for each turn.
  int read_lines() {
    std::string line;
    while (std::getline(std::cin, line) && take(line)) {
    }
    return failed_ ? kFailed : 0;
  }

 private:
  /// A line of input. False: it ends the conversation.
  bool take(const std::string& line) {
    if (line == "/exit") return false;
    if (line == "/help") {
      print(kHelp);
    } else if (line == "/reset") {
      messages_.clear();
    } else if (line == "/stats") {
      print(stats());
    } else if (line == "/system") {
      print(system_.empty() ? "there are no instructions\n" : system_ + "\n");
    } else if (line.starts_with("/system ")) {
      system_ = line.substr(line.find(' ') + 1);
    } else if (line.starts_with('/') && line.find('\n') == std::string::npos) {
      fail("unknown command " + line + "; /help lists those that there are");
    } else if (!line.empty() && !answer(line)) {
      failed_ = true;
    }
    return true;
  }

  /// A turn that fails leaves no trace in the conversation.
  bool answer(const std::string& line) {
    messages_.push_back({"user", line});
    Request request;
    std::vector<ChatMessage> messages;
    if (!system_.empty()) messages.push_back({"system", system_});
    messages.insert(messages.end(), messages_.begin(), messages_.end());
    request.prompt = std::move(messages);
    request.params = session_.params(options_);
    std::string text;
    const InterruptGuard guard;
    const auto end = session_.ask(
        std::move(request),
        [&](const std::string& piece) {
          text += piece;
          print(piece);
        },
        [this] {
          if (editor_ != nullptr) editor_->gather();
          return interrupts > 0;
        });
    if (!text.empty()) print("\n");
    if (!end) {
      messages_.pop_back();
      fail(end.error().message);
      return false;
    }
    messages_.push_back({"assistant", text});
    last_ = *end;
    ++answers_;
    tokens_in_ += end->usage.prompt_tokens;
    tokens_cached_ += end->usage.cached_tokens;
    tokens_out_ += end->usage.completion_tokens;
    return true;
  }

  std::string stats() const {
    if (answers_ == 0) return "nothing was answered yet\n";
    const Usage& usage = last_.usage;
    const double seconds = (last_.timings.total_ms - last_.timings.ttft_ms) / 1000;
    const double speed = usage.completion_tokens > 1 && seconds > 0 ? (usage.completion_tokens - 1) / seconds : 0;
    return fmt::format(
        "last answer: {} tokens of prompt, {} of them found in the cache; first token after {:.0f} ms; {} tokens "
        "generated, {:.0f} a second\nall {}: {} tokens of prompts, {} of them found in the cache, {} generated\n",
        usage.prompt_tokens, usage.cached_tokens, last_.timings.ttft_ms, usage.completion_tokens, speed, answers_,
        tokens_in_, tokens_cached_, tokens_out_);
  }

  Session& session_;
  const SessionOptions& options_;
  LineEditor* editor_;
  std::string system_;
  std::vector<ChatMessage> messages_;  ///< without the instructions
  TokenEvent last_;                    ///< the end of the last answer
  std::uint64_t answers_ = 0, tokens_in_ = 0, tokens_cached_ = 0, tokens_out_ = 0;
  bool failed_ = false;
};

int chat(const SessionOptions& options) {
  // First the editor: what is typed while the model is loaded counts, too.
  std::optional<LineEditor> editor;
  if (isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0) editor.emplace(chat_history_file());
  const auto session = Session::open(options);
  if (!session) return fail(session.error());
  Chat chat(**session, options, editor ? &*editor : nullptr);
  return editor ? chat.talk() : chat.read_lines();
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("chat", "Hold a conversation on the terminal");
  auto options = std::make_shared<SessionOptions>();
  add_session_options(*command, *options);
  command->footer(
      "In the conversation /help lists the commands; Ctrl-D ends it, Ctrl-C stops an answer. From a pipe each line is "
      "a\n"
      "message.\n"
      "Example: headwater chat --system \"You answer in one sentence.\"");
  command->callback([options, &action] { action = [options] { return chat(*options); }; });
}

}  // namespace headwater::tools
