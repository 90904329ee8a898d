#pragma once
// Text to token ids and back, driven by a GGUF file's `tokenizer.ggml.*` metadata.
//
// Threading: immutable after load(); any number of threads may use one object.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "model/encoding.h"
#include "model/gguf.h"

namespace headwater::model {

struct EncodeOptions {
  bool add_special = false;    ///< put BOS in front and EOS behind where the file asks for it
  bool parse_special = false;  ///< "<|im_end|>" in the text becomes its special token; otherwise it stays text
};

/// What tokens that strip drop behind them.
inline constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

/// Cuts text into ids. Implementations: byte-level BPE ("gpt2"), SentencePiece ("llama").
class Tokenizer {
 public:
  /// `pre_tokenizer`: the name of a Pretokenizer in place of the file's; empty: the file's own.
  /// Errors: unknown model or pre-tokenizer (the known ones are listed), inconsistent vocabulary, a pre-tokenizer for a
  /// vocabulary that has none.
  static Result<std::shared_ptr<const Tokenizer>> load(const GgufFile& file, std::string_view pre_tokenizer = "");
  virtual ~Tokenizer() = default;

  /// Any byte sequence can be encoded and decodes to itself, except that bytes for which the vocabulary has no token
  /// are dropped, as is white space behind a token that strips it, and that SentencePiece takes U+2581 for a space and
  /// may put a space behind each special token. Time is O(n log n) in the text's length.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const;
  /// The same a slice at a time. The text and the tokenizer outlive it.
  virtual std::unique_ptr<Encoding> begin_encoding(std::string_view text, EncodeOptions options) const = 0;
  /// A text of which more bytes are spelled has more than `tokens` tokens, whatever it says.
  virtual std::size_t max_bytes_for(std::size_t tokens) const = 0;
  /// Bytes of a text that its tokens stand for, at least: all but those that are or may be dropped.
  virtual std::size_t spelled_bytes(std::string_view text) const = 0;

  /// The token's bytes; a special (control) token gives its text, e.g. "<|im_end|>". REQUIRES: valid(id).
  virtual std::string_view token_bytes(TokenId id) const = 0;

  virtual std::uint32_t vocab_size() const = 0;
  virtual bool is_control(TokenId id) const = 0;                  ///< special: not part of an answer's text
  virtual bool is_end(TokenId id) const = 0;                      ///< ends an answer (EOS, EOT)
  virtual TokenId bos() const = 0;                                ///< -1: none
  virtual bool adds_bos() const = 0;                              ///< `add_special` puts BOS in front
  virtual TokenId find_special(std::string_view text) const = 0;  ///< -1: no special token has this text
  /// The longest token with which `text` begins of those that are found as a whole, before words are cut: special ones
  /// and a user's. id -1: none.
  struct Special {
    TokenId id = -1;
    std::size_t length = 0;
  };
  virtual Special special_at(std::string_view text) const = 0;
  /// White space (kWhiteSpace) behind this token of a text is dropped.
  virtual bool strips_space(TokenId id) const = 0;

  bool valid(TokenId id) const { return id >= 0 && static_cast<std::uint32_t>(id) < vocab_size(); }
  /// The bytes of all tokens; of a text that SentencePiece begins with a space of its own, without that.
  std::string decode(std::span<const TokenId> ids) const;

 private:
  /// Whether a text's first token has a space in front that the text has not.
  virtual bool adds_space() const { return false; }
};

}  // namespace headwater::model
