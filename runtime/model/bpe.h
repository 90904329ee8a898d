#pragma once
// Byte-level byte pair encoding ("gpt2" in GGUF files).
// Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", 2016.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/pretokenizer.h"
#include "model/special_tokens.h"
#include "model/tokenizer.h"

namespace headwater::model {

class BytePairTokenizer : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const GgufFile& file);

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  std::string_view token_bytes(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].bytes; }
  std::uint32_t vocab_size() const override { return static_cast<std::uint32_t>(tokens_.size()); }
  bool is_control(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].control; }
  bool is_end(TokenId id) const override { return tokens_[static_cast<std::size_t>(id)].end; }
  TokenId bos() const override { return bos_; }
  TokenId find_special(std::string_view text) const override { return specials_.find(text); }

 private:
  struct Token {
    std::string bytes;
    bool control = false;
    bool end = false;
  };
  struct Merge {
    std::uint32_t rank = 0;
    TokenId merged = 0;
  };
  Result<void> load_tokens(const GgufFile& file);
  void add_token(TokenId id, const std::string& text, std::int64_t kind);
  Result<void> load_merges(const GgufFile& file);
  Result<void> load_special(const GgufFile& file);
  Result<TokenId> optional_id(const GgufFile& file, const char* key) const;

  void encode_text(std::string_view text, std::vector<TokenId>& out) const;
  void encode_word(std::string_view word, std::vector<TokenId>& out) const;

  std::vector<Token> tokens_;
  std::unordered_map<std::string_view, TokenId> by_bytes_;  ///< ordinary tokens
  std::unordered_map<std::uint64_t, Merge> merges_;         ///< by both ids
  TokenId byte_tokens_[256] = {};
  SpecialTokens specials_;
  std::shared_ptr<const Pretokenizer> pretokenizer_;
  TokenId bos_ = -1;
  bool add_bos_ = false;
};

}  // namespace headwater::model
