#pragma once
// SentencePiece vocabularies ("llama" in GGUF files): pieces with scores, a space written as U+2581, and a token for
// each byte that no piece spells. Source: Kudo, Richardson, "SentencePiece: A simple and language independent subword
// tokenizer", 2018.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/piece_table.h"
#include "model/vocabulary.h"

namespace headwater::model {

class SentencePieceTokenizer : public VocabularyTokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const GgufFile& file);

  std::unique_ptr<Encoding> begin_encoding(std::string_view text, EncodeOptions options) const override;
  std::size_t max_bytes_for(std::size_t tokens) const override;
  std::size_t spelled_bytes(std::string_view text) const override;

 private:
  friend class SentencePieceEncoding;

  Result<void> load_scores(const GgufFile& file);
  Result<void> add_token(const GgufFile& file, TokenId id, const std::string& text, TokenKind kind) override;
  /// All bytes have a token, or none has.
  Result<void> check_bytes(const GgufFile& file);
  bool adds_space() const override { return add_space_; }

  PieceTable pieces_;          ///< by their bytes: with spaces, as a text has them
  std::vector<float> scores_;  ///< while it is loaded; empty: all are 0
  TokenId byte_tokens_[256] = {};
  bool spells_bytes_ = false;  ///< there are tokens of bytes
  TokenId unknown_ = -1;       ///< for what no piece spells, where there are none; -1: that is dropped
  bool add_space_ = true;      ///< a text begins with a space, as words within it do
  std::size_t longest_ = 1;    ///< bytes of a token
};

/// How pieces write a space.
inline constexpr std::string_view kSpaceMark = "\u2581";
/// `text` with spaces in place of space marks.
std::string with_spaces(std::string_view text);

}  // namespace headwater::model
