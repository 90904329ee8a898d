#pragma once
// A program at a terminal, which is a pseudo-terminal, and the person before it.

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

namespace headwater::test {

/// Every wait fails the test with what was shown so far when it takes too long; those after it no longer wait.
class PseudoTerminal {
 public:
  /// Runs `command` by a shell.
  explicit PseudoTerminal(const std::string& command, const std::string& home) {
    const winsize size{24, 80, 0, 0};
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ == 0) {
      setenv("TERM", "xterm", 1);
      setenv("XDG_STATE_HOME", home.c_str(), 1);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  ~PseudoTerminal() {
    if (child_ > 0) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
    close(terminal_);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;
  PseudoTerminal& operator=(const PseudoTerminal&) = delete;

  /// Types; reads meanwhile what comes, since a terminal takes no more than its buffer holds.
  void type(std::string_view keys) {
    while (!keys.empty()) {
      if (!step(POLLIN | POLLOUT)) return give_up("took no more than all but " + std::to_string(keys.size()) + " keys");
      if (!writable_) continue;
      const ssize_t n = write(terminal_, keys.data(), std::min<std::size_t>(keys.size(), 256));
      if (n > 0) keys.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// What is shown from the last call on, until `text` is.
  std::string until(std::string_view text) {
    std::size_t at = std::string::npos;
    while ((at = shown_.find(text, seen_)) == std::string::npos) {
      if (!step(POLLIN)) {
        give_up("did not show \"" + printable(text) + '"');
        return {};
      }
    }
    const std::size_t from = seen_;
    seen_ = at + text.size();
    return shown_.substr(from, seen_ - from);
  }
  /// Until so many more bytes are shown.
  void more(std::size_t bytes) {
    while (shown_.size() < seen_ + bytes) {
      if (!step(POLLIN)) return give_up("showed no more");
    }
    seen_ += bytes;
  }
  /// The exit status once the program has ended, -1 where a signal ended it.
  int end() {
    while (step(POLLIN)) {
    }
    if (open_) {
      give_up("did not end");
      return -1;
    }
    int status = 0;
    waitpid(child_, &status, 0);  // nobody holds its terminal any more
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  /// Waits a little and reads what has come. False where the program has ended, or the time has.
  bool step(short events) {
    if (!open_ || gave_up_ || std::chrono::steady_clock::now() > deadline_) return false;
    pollfd ready{terminal_, events, 0};
    writable_ = poll(&ready, 1, 100) > 0 && (ready.revents & POLLOUT) != 0;
    if ((ready.revents & (POLLIN | POLLHUP)) == 0) return true;
    char buffer[4096];
    const ssize_t n = read(terminal_, buffer, sizeof buffer);
    if (n > 0) shown_.append(buffer, static_cast<std::size_t>(n));
    open_ = n > 0;
    return open_;
  }
  void give_up(const std::string& what) {
    if (!gave_up_) ADD_FAILURE() << "the program " << what << (open_ ? "" : ", and ended") << "; shown: " << shown();
    gave_up_ = true;
  }
  std::string shown() const {
    constexpr std::size_t kMost = 3000;
    const std::string all = printable(shown_);
    return all.size() <= kMost ? all : "…" + all.substr(all.size() - kMost);
  }
  static std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
      const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F;
      out += control ? '^' : c;
      if (control) out += static_cast<char>(c ^ 0x40);
    }
    return out;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool open_ = true, writable_ = false, gave_up_ = false;
  std::string shown_;
  std::size_t seen_ = 0;
  /// Far more than it takes, and less than a test may.
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::now() + std::chrono::minutes(2);
};

}  // namespace headwater::test
