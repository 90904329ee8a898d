#pragma once
// The keyboard of `headwater chat`. What is typed while nobody asks for it is kept, and the terminal is left as it was.

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>

namespace headwater::tools {

/// Most that is kept of what is typed ahead. The terminal holds the rest back until there is room.
inline constexpr std::size_t kMaxTypedAhead = 1 << 20;

/// From hold() on the terminal is in the mode in which the caller has put it, also after the program was stopped
/// and goes on, and marks what is pasted. Its old mode returns with the end of the object, and when a signal stops
/// or ends the program: the signals that end it, and those of stopping and going on, are handled here.
///
/// REQUIRES: standard input and output are a terminal; there is no other such object. Threading: one thread.
class TerminalInput {
 public:
  TerminalInput();
  ~TerminalInput();
  TerminalInput(const TerminalInput&) = delete;
  TerminalInput& operator=(const TerminalInput&) = delete;

  void hold();

  /// Takes what has been typed so far. Does not wait.
  void gather();

  /// The next byte; waits for it. None at the end of the input. `on_change` is called where what is shown is to be
  /// drawn anew, because the window has another size or the program was stopped.
  std::optional<char> next(const std::function<void()>& on_change);

 private:
  /// Reads what there is. False at the end of the input.
  bool read_some();

  std::deque<char> typed_;
};

}  // namespace headwater::tools
