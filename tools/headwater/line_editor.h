#pragma once
// Lines that a person types at a terminal: editing, history, and a paste of several lines as one.

#include <memory>
#include <optional>
#include <string>

namespace headwater::tools {

/// Most that one line, or one paste, may have.
inline constexpr std::size_t kMaxLineBytes = 1 << 20;

/// Where the history of `headwater chat` is kept: $XDG_STATE_HOME/headwater/chat_history, by default below
/// ~/.local/state. Empty where there is no home.
std::string chat_history_file();

/// From its beginning to its end nothing that is typed is lost, echoed or taken by the terminal, except for signals.
/// The terminal is as it was afterwards, also where a signal ends or stops the program.
///
/// REQUIRES: standard input and output are a terminal; there is no other editor. Threading: one thread.
class LineEditor {
 public:
  /// Reads the history; a file that is not there is made when there is something to keep, for its owner alone. Empty:
  /// no history is kept.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// The next line without its end; a paste may hold several lines, and a line that ends in a backslash goes on in the
  /// next. None at the end of the input.
  std::optional<std::string> read();

  /// Takes what is typed while no line is read, for the next one. To be called a few times a second: else Ctrl-C
  /// waits behind what is more than 4 KiB. Does not wait.
  void gather();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headwater::tools
