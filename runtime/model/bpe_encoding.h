#pragma once
// A text on its way to ids of a byte-level BPE vocabulary: special tokens, words, merges, a little at a time.

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/bpe.h"
#include "model/word_merger.h"

namespace headwater::model {

class BytePairEncoding : public Encoding {
 public:
  /// `tokenizer` and `text` outlive it.
  BytePairEncoding(const BytePairTokenizer& tokenizer, std::string_view text, EncodeOptions options);

  bool advance(std::size_t bytes) override;

 private:
  /// Where the ids of a word stand that has come before.
  struct Seen {
    std::size_t at = 0, count = 0;
  };

  /// Up to the next special token, or for so many bytes.
  void find_special(std::size_t& bytes);
  void encode_word(std::string_view word);
  void begin_word(std::string_view word);

  const BytePairTokenizer& tokenizer_;
  std::string_view text_;
  bool parse_special_;
  std::size_t begin_ = 0;  ///< of what has not been cut into words
  std::size_t at_ = 0;     ///< up to where special tokens have been looked for
  TokenId special_ = -1;   ///< comes after the words
  std::optional<Pretokenizer::Cursor> words_;
  WordMerger merger_;
  bool merging_ = false;  ///< a long word is under way
  std::vector<TokenId> symbols_;
  std::unordered_map<std::string_view, Seen> seen_;
};

}  // namespace headwater::model
