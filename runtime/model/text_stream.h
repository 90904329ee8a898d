#pragma once
// Turns a sequence's tokens into text that can be sent: whole UTF-8 characters, nothing that may still
// turn out to be the beginning of a stop string.

#include <cstdint>
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
  /// Appends a token's bytes. `may_stop`: false while min_tokens forbids it. REQUIRES: not stopped.
  Delta push(std::string_view bytes, bool may_stop);
  /// The end of the sequence: all that was held back.
  std::string flush();

 private:
  std::vector<std::string> stop_;
  std::size_t longest_stop_ = 0;
  std::string held_;  ///< bytes not sent yet
};

}  // namespace headwater::model
