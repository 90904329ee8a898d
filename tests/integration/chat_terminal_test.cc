// `headwater chat` as a person uses it: at a terminal, which here is a pseudo-terminal.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "tests/integration/cli_fixture.h"

namespace headwater::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Terminal {
 public:
  Terminal(const std::string& model, const std::string& home, const std::string& more = "") {
    const winsize size{24, 80, 0, 0};
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ == 0) {
      setenv("TERM", "xterm", 1);
      setenv("XDG_STATE_HOME", home.c_str(), 1);
      const std::string command = std::string("exec ") + HEADWATER_BINARY +
                                  " chat --temperature 0 --max-tokens 3 --model " + model + " " + more;
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  ~Terminal() {
    if (child_ > 0) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
    close(terminal_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Types; reads meanwhile what comes, since a terminal takes no more than its buffer holds.
  void type(std::string_view keys) {
    while (!keys.empty()) {
      const ssize_t n = write(terminal_, keys.data(), std::min<std::size_t>(keys.size(), 256));
      if (n <= 0) return;
      keys.remove_prefix(static_cast<std::size_t>(n));
      read_for(std::chrono::milliseconds(1));
    }
  }
  /// What is shown from the last call on, until `text` is; all that came within a minute where it never is.
  std::string until(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (shown_.find(text) == std::string::npos && std::chrono::steady_clock::now() < end && open_) {
      read_for(std::chrono::milliseconds(100));
    }
    const std::size_t at = shown_.find(text);
    const std::string seen = shown_.substr(0, at == std::string::npos ? at : at + text.size());
    shown_.erase(0, seen.size());
    return seen;
  }
  /// The exit status, after the end of the input.
  int end() {
    type("\x04");
    until("nothing shows this");
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  void read_for(std::chrono::milliseconds patience) {
    pollfd ready{terminal_, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(patience.count())) <= 0) return;
    char buffer[4096];
    const ssize_t n = read(terminal_, buffer, sizeof buffer);
    if (n > 0) {
      shown_.append(buffer, static_cast<std::size_t>(n));
    } else {
      open_ = false;
    }
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool open_ = true;
  std::string shown_;
};

class ChatTerminal : public Cli {
 protected:
  std::string history() const { return path("headwater/chat_history"); }
  std::string home() const { return std::filesystem::path(path("x")).parent_path(); }
};

constexpr const char* kNothing = "nothing was answered yet";

TEST_F(ChatTerminal, TakesAPasteOfThreeLinesAsOneMessage) {
  Terminal terminal(tiny_model(), home());
  ASSERT_THAT(terminal.until("> "), HasSubstr("/help"));
  terminal.type("\x1B[200~one\ntwo\nthree\n\x1B[201~");
  terminal.until("three");
  terminal.type("\r/stats\r");
  EXPECT_THAT(terminal.until(" generated\r\n"), HasSubstr("all 1: "));
  EXPECT_EQ(terminal.end(), 0);
}

// Hangs in every second run: what is typed before the editor has the terminal in raw mode is cut at 4,096 bytes.
TEST_F(ChatTerminal, DISABLED_TakesLinesLongerThanATerminalHolds) {
  Terminal terminal(tiny_model(), home());
  terminal.until("> ");
  std::string line(6000, 'x');  // more than the tiny model's context, too
  line += '\r';
  terminal.type(line);
  EXPECT_THAT(terminal.until("headwater: "), HasSubstr("headwater: "));
  terminal.type("/stats\r");
  EXPECT_THAT(terminal.until(kNothing), HasSubstr(kNothing));
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, LetsALineBeEditedAndGoOn) {
  Terminal terminal(tiny_model(), home());
  terminal.until("> ");
  terminal.type("tats\x01/s\r");  // to the beginning of the line
  EXPECT_THAT(terminal.until(kNothing), HasSubstr(kNothing));
  terminal.type("/system be\\\r");
  terminal.until(". ");
  terminal.type("brief\r/system\r");
  EXPECT_THAT(terminal.until("be\r\nbrief\r\n"), HasSubstr("be\r\nbrief\r\n"));
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, KeepsAHistoryForItsOwnerAlone) {
  const std::string model = tiny_model();
  {
    Terminal terminal(model, home());
    terminal.until("> ");
    terminal.type("/stats\r");
    terminal.until(kNothing);
    EXPECT_EQ(terminal.end(), 0);
  }
  struct stat kept {};
  ASSERT_EQ(stat(history().c_str(), &kept), 0);
  EXPECT_EQ(kept.st_mode & 0777U, 0600U);
  Terminal terminal(model, home());
  terminal.until("> ");
  terminal.type("\x1B[A\r");  // the line before
  EXPECT_THAT(terminal.until(kNothing), HasSubstr(kNothing));
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, TellsOfItsCommandsAndOfThoseThatItHasNot) {
  Terminal terminal(tiny_model(), home(), "--system brief");
  terminal.until("> ");
  terminal.type("/help\r");
  const std::string help = terminal.until("goes on in the next");
  for (const char* command : {"/system", "/reset", "/stats", "/exit"}) EXPECT_THAT(help, HasSubstr(command));
  terminal.type("/rest\r");
  EXPECT_THAT(terminal.until("unknown command /rest"), HasSubstr("unknown command"));
  terminal.type("/exit\r");
  EXPECT_EQ(terminal.end(), 0);
}

}  // namespace
}  // namespace headwater::test
