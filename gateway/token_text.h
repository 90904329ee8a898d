#pragma once
// Tokens as text: a token's bytes are not always whole characters.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "headwater/request.h"

namespace headwater::gateway {

bool is_utf8(std::string_view bytes);

/// Characters (code points) that begin in `bytes`.
std::size_t count_characters(std::string_view bytes);

/// Finds where the tokens of a text begin in it, in characters: by what they say, since not every token has a text (an
/// end token, a BOS that was put in front), nor all of its text (a stop string is cut off).
class TextOffsets {
 public:
  /// The text goes on so.
  void add_text(std::string_view text) { text_ += text; }
  /// Where the next token begins. None: its text may still come. `complete`: no more text comes.
  std::optional<std::size_t> next(std::string_view bytes, bool complete);

 private:
  std::string text_;  ///< of which the first `read_` bytes belong to the tokens so far
  std::size_t read_ = 0;
  std::size_t characters_ = 0;  ///< in those
  std::string incomplete_;      ///< the bytes so far of a character that more than one token make
};

/// A token's text, or "bytes:\xe4\xb8" for one that is only a part of a character; so different tokens
/// have different names. With `by_id`: "token_id:N".
std::string token_name(const TokenLogprob& token, bool by_id);

/// A log-probability that JSON can hold: an impossible token has -9999.
double finite_logprob(float logprob);

}  // namespace headwater::gateway
