#pragma once
// The tokens of a file, and which of them are special: what tokenizers of all kinds share.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/special_tokens.h"
#include "model/tokenizer.h"

namespace headwater::model {

/// As GGUF numbers them.
enum class TokenKind : std::uint8_t { undefined, ordinary, unknown, control, user_defined, unused, byte };

/// Bytes of a token, at most; real ones have some hundred.
inline constexpr std::size_t kMostTokenBytes = 16 << 10;

/// A tokenizer whose tokens stand in a table. How text becomes tokens is left to those that derive from it.
class VocabularyTokenizer : public Tokenizer {
 public:
  std::string_view token_bytes(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].bytes; }
  std::uint32_t vocab_size() const override { return static_cast<std::uint32_t>(tokens_.size()); }
  bool is_control(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].control; }
  bool is_end(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].end; }
  TokenId bos() const override { return bos_; }
  bool adds_bos() const override { return add_bos_; }
  TokenId find_special(std::string_view text) const override { return specials_.find(text); }
  Special special_at(std::string_view text) const override {
    const SpecialTokens::Match match = specials_.longest_at(text, true);
    return {match.id, match.length};
  }
  bool strips_space(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].strips; }

 protected:
  /// What holds where a file does not say. Ids that are not in the vocabulary count as none.
  struct Defaults {
    TokenId bos = -1, eos = -1;
    bool add_bos = false;
  };
  /// Reads the tokens, and tells add_token() of each. Errors: what is missing, of another type or length, twice, or out
  /// of range, and add_token()'s.
  Result<void> load_vocabulary(const GgufFile& file, const Defaults& defaults);

  /// The id that the file has under this key; where it has none, `fallback` if that is in the vocabulary. -1: none.
  /// Error: it is not in the vocabulary.
  Result<TokenId> special_id(const GgufFile& file, std::string_view key, TokenId fallback = -1) const;
  void set_bytes(TokenId id, std::string bytes) { tokens_[static_cast<std::size_t>(id)].bytes = std::move(bytes); }
  /// "token 5 \"abc\"", for messages.
  std::string named(TokenId id) const;
  /// Bytes that no token has more of. REQUIRES: all bytes are set.
  std::size_t longest_token() const;
  /// Bytes of the text that may be dropped behind tokens that strip.
  std::size_t strippable_bytes(std::string_view text) const;

 private:
  friend class FragmentEncoding;

  struct Token {
    std::string bytes;
    bool control = false;
    bool end = false;
    bool strips = false;
  };
  /// Whether it is special is settled; its bytes are its text until set_bytes().
  virtual Result<void> add_token(const GgufFile& file, TokenId id, const std::string& text, TokenKind kind) = 0;

  Result<void> load_ids(const GgufFile& file, const Defaults& defaults);
  /// A mark of chat templates, whatever the file calls it.
  bool is_mark(std::string_view text, TokenId id) const;

  std::vector<Token> tokens_;
  SpecialTokens specials_;
  TokenId bos_ = -1, eos_ = -1;
  bool add_bos_ = false, add_eos_ = false;
  bool strips_ = false;  ///< some token strips
};

}  // namespace headwater::model
