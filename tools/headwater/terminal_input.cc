#include "tools/headwater/terminal_input.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

namespace headwater::tools {
namespace {

// Terminals put marks before and after what is pasted, once they are told to.
constexpr std::string_view kMarkPastes = "\x1B[?2004h";
constexpr std::string_view kMarkPastesNoMore = "\x1B[?2004l";

constexpr std::array kEnding = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS};

// What signal handlers touch. All that they call is safe in them.
termios before, held;
volatile std::sig_atomic_t holding = 0, changed = 0;

/// Only who is in front may set the mode; anybody else would be stopped for it.
bool in_front() { return tcgetpgrp(STDIN_FILENO) == getpgrp(); }

void tell(std::string_view text) { [[maybe_unused]] const ssize_t n = write(STDOUT_FILENO, text.data(), text.size()); }

void give_back() {
  if (holding == 0 || !in_front()) return;
  tell(kMarkPastesNoMore);
  tcsetattr(STDIN_FILENO, TCSANOW, &before);  // at once and without a loss: nothing is flushed, nothing waited for
}

void take_back() {
  changed = 1;
  if (holding == 0 || !in_front()) return;
  tcsetattr(STDIN_FILENO, TCSANOW, &held);
  tell(kMarkPastes);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

void on_end(int signal) {
  give_back();
  handle(signal, SIG_DFL);
  raise(signal);  // once this returns
}

void on_stop(int) {
  const int error = errno;
  give_back();
  handle(SIGTSTP, SIG_DFL);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
  raise(SIGTSTP);
  handle(SIGTSTP, on_stop);
  take_back();  // also where nothing can be stopped, and so nothing goes on
  errno = error;
}

void on_continue(int) {
  const int error = errno;
  take_back();
  errno = error;
}

void on_resize(int) { changed = 1; }

/// Signals that something else looks after, or that are to be ignored, are left alone.
void handle_unless_set(int signal, void (*handler)(int)) {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) handle(signal, handler);
}

void stop_handling(int signal, void (*handler)(int)) {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == handler) handle(signal, SIG_DFL);
}

}  // namespace

TerminalInput::TerminalInput() {
  tcgetattr(STDIN_FILENO, &before);
  for (const int signal : kEnding) handle_unless_set(signal, on_end);
  handle_unless_set(SIGTSTP, on_stop);
  handle_unless_set(SIGCONT, on_continue);
  handle_unless_set(SIGWINCH, on_resize);
}

TerminalInput::~TerminalInput() {
  give_back();
  holding = 0;
  for (const int signal : kEnding) stop_handling(signal, on_end);
  stop_handling(SIGTSTP, on_stop);
  stop_handling(SIGCONT, on_continue);
  stop_handling(SIGWINCH, on_resize);
}

void TerminalInput::hold() {
  tcgetattr(STDIN_FILENO, &held);
  holding = 1;
  tell(kMarkPastes);
}

bool TerminalInput::read_some() {
  std::array<char, 4096> bytes;
  const ssize_t n = read(STDIN_FILENO, bytes.data(), std::min(bytes.size(), kMaxTypedAhead - typed_.size()));
  if (n > 0) typed_.insert(typed_.end(), bytes.begin(), bytes.begin() + n);
  return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

void TerminalInput::gather() {
  pollfd keys{STDIN_FILENO, POLLIN, 0};
  while (in_front() && typed_.size() < kMaxTypedAhead && poll(&keys, 1, 0) > 0 && read_some()) {
  }
}

std::optional<char> TerminalInput::next(const std::function<void()>& on_change) {
  while (typed_.empty()) {
    if (changed != 0) {
      changed = 0;
      on_change();
    }
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&keys, 1, -1);
    if (ready < 0 && errno != EINTR) return std::nullopt;
    if (ready > 0 && !read_some()) return std::nullopt;
  }
  const char byte = typed_.front();
  typed_.pop_front();
  return byte;
}

}  // namespace headwater::tools
