#pragma once
// Byte-level byte pair encoding ("gpt2" in GGUF files).
// Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", 2016.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "model/encoding.h"
#include "model/pretokenizer.h"
#include "model/vocabulary.h"
#include "model/word_merger.h"

namespace headwater::model {

class BytePairTokenizer : public VocabularyTokenizer {
 public:
  /// As Tokenizer::load().
  static Result<std::shared_ptr<const Tokenizer>> load(const GgufFile& file, std::string_view pre_tokenizer);

  std::unique_ptr<Encoding> begin_encoding(std::string_view text, EncodeOptions options) const override;
  std::size_t max_bytes_for(std::size_t tokens) const override;
  std::size_t spelled_bytes(std::string_view text) const override;

 private:
  friend class BytePairEncoding;

  Result<void> add_token(const GgufFile& file, TokenId id, const std::string& text, TokenKind kind) override;
  Result<void> load_merges(const GgufFile& file);

  std::unordered_map<std::string_view, TokenId> by_bytes_;  ///< ordinary tokens
  MergeTable merges_;
  TokenId byte_tokens_[256] = {};  ///< -1: none, and the byte is dropped
  bool drops_bytes_ = false;
  std::size_t longest_ = 1;  ///< bytes of a token
  std::shared_ptr<const Pretokenizer> pretokenizer_;
};

}  // namespace headwater::model
