#pragma once
// Byte-level byte pair encoding ("gpt2" in GGUF files).
// Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", 2016.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/encoding.h"
#include "model/pretokenizer.h"
#include "model/special_tokens.h"
#include "model/tokenizer.h"
#include "model/word_merger.h"

namespace headwater::model {

class BytePairTokenizer : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const GgufFile& file);

  std::unique_ptr<Encoding> begin_encoding(std::string_view text, EncodeOptions options) const override;
  std::size_t max_bytes_for(std::size_t tokens) const override;
  std::string_view token_bytes(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].bytes; }
  std::uint32_t vocab_size() const override { return static_cast<std::uint32_t>(tokens_.size()); }
  bool is_control(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].control; }
  bool is_end(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].end; }
  TokenId bos() const override { return bos_; }
  TokenId find_special(std::string_view text) const override { return specials_.find(text); }
  Special special_at(std::string_view text) const override {
    const SpecialTokens::Match match = specials_.longest_at(text, true);
    return {match.id, match.length};
  }

 private:
  friend class BytePairEncoding;

  struct Token {
    std::string bytes;
    bool control = false;
    bool end = false;
  };
  Result<void> load_tokens(const GgufFile& file);
  void add_token(TokenId id, const std::string& text, std::int64_t kind);
  Result<void> load_merges(const GgufFile& file);
  Result<void> load_special(const GgufFile& file);
  Result<TokenId> optional_id(const GgufFile& file, const char* key) const;

  std::vector<Token> tokens_;
  std::unordered_map<std::string_view, TokenId> by_bytes_;  ///< ordinary tokens
  MergeTable merges_;
  TokenId byte_tokens_[256] = {};
  std::size_t longest_ = 1;   ///< bytes of a token
  bool drops_bytes_ = false;  ///< some bytes have no token, and U+FFFD has none either
  SpecialTokens specials_;
  std::shared_ptr<const Pretokenizer> pretokenizer_;
  TokenId bos_ = -1;
  bool add_bos_ = false;
};

}  // namespace headwater::model
