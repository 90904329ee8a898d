// headwater chat

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>

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

class Chat {
 public:
  Chat(Session& session, const SessionOptions& options) : session_(session), options_(options) { reset(); }

  int talk() {
    const bool person = isatty(STDIN_FILENO) != 0;
    if (person) print("/reset forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C stops an answer.\n");
    std::string line;
    for (;;) {
      if (person) print("> ");
      if (!std::getline(std::cin, line) || line == "/exit") break;
      if (line == "/reset") {
        reset();
      } else if (line.starts_with('/')) {
        fail("unknown command " + line + "; there are /reset and /exit");
      } else if (!line.empty() && !answer(line)) {
        failed_ = true;
      }
    }
    return failed_ && !person ? kFailed : 0;
  }

 private:
  void reset() {
    messages_.clear();
    if (!options_.system.empty()) messages_.push_back({"system", options_.system});
  }

  /// A turn that fails leaves no trace in the conversation.
  bool answer(const std::string& line) {
    messages_.push_back({"user", line});
    Request request;
    request.prompt = messages_;
    request.params = options_.params();
    std::string text;
    const InterruptGuard guard;
    const auto end = session_.ask(
        std::move(request),
        [&](const std::string& piece) {
          text += piece;
          print(piece);
        },
        [] { return interrupts > 0; });
    if (!text.empty()) print("\n");
    if (!end) {
      messages_.pop_back();
      fail(end.error().message);
      return false;
    }
    messages_.push_back({"assistant", text});
    return true;
  }

  Session& session_;
  const SessionOptions& options_;
  std::vector<ChatMessage> messages_;
  bool failed_ = false;
};

int chat(const SessionOptions& options) {
  const auto session = Session::open(options);
  if (!session) return fail(session.error());
  return Chat(**session, options).talk();
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("chat", "Hold a conversation on the terminal");
  auto options = std::make_shared<SessionOptions>();
  add_session_options(*command, *options);
  command->footer(
      "In the conversation: /reset forgets it, /exit or Ctrl-D ends it, Ctrl-C stops an answer.\n"
      "Example: headwater chat --system \"You answer in one sentence.\"");
  command->callback([options, &action] { action = [options] { return chat(*options); }; });
}

}  // namespace headwater::tools
