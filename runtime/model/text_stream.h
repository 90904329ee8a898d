#pragma once
// Turns a sequence's tokens into text that can be sent: whole UTF-8 characters, nothing that may still
// turn out to be the beginning of a stop string.
//
// Of several stop strings, the one that is complete first ends the text; of those that end together, the longest. So
// the text never depends on where one token ends and the next begins. Threading: one caller at a time.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace headwater::model {

class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stop);

  struct Delta {
    std::string text;        ///< whole UTF-8; invalid bytes become U+FFFD
    bool stopped = false;    ///< a stop string is complete; `text` ends right before it
    std::string stop_match;  ///< which
  };
  /// Appends a token's bytes. `may_stop`: false while min_tokens forbids it; a stop string that begins before and ends
  /// after that ends the text. REQUIRES: not stopped.
  Delta push(std::string_view bytes, bool may_stop);
  /// The end of the sequence: all that was held back.
  std::string flush();

 private:
  /// Bytes at the end of held_ that may be the beginning of a stop string.
  std::size_t possible_stop() const;

  std::string incomplete_;  ///< bytes of a character that is not complete
  std::string held_;        ///< text not sent yet
  std::size_t passed_ = 0;  ///< bytes of held_; a stop string that ended within them came too early to count
  std::vector<std::string> stop_;
  std::size_t longest_stop_ = 0;
};

}  // namespace headwater::model
