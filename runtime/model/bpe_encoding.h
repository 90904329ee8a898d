#pragma once
// A text on its way to ids of a byte-level BPE vocabulary: words and merges, a little at a time.

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/bpe.h"
#include "model/fragment_encoding.h"
#include "model/word_merger.h"

namespace headwater::model {

class BytePairEncoding : public FragmentEncoding {
 public:
  /// `tokenizer` and `text` outlive it.
  BytePairEncoding(const BytePairTokenizer& tokenizer, std::string_view text, EncodeOptions options);

 private:
  /// Where the ids of a word stand that has come before.
  struct Seen {
    std::size_t at = 0, count = 0;
  };

  void begin(std::string_view fragment) override;
  bool go_on(std::size_t& bytes) override;
  void encode_word(std::string_view word);
  void begin_word(std::string_view word);

  const BytePairTokenizer& tokenizer_;
  bool repeats_;  ///< the text is long enough for words to come again
  std::optional<Pretokenizer::Cursor> words_;
  WordMerger merger_;
  bool merging_ = false;  ///< a long word is under way
  std::vector<TokenId> symbols_;
  std::unordered_map<std::string_view, Seen> seen_;
};

}  // namespace headwater::model
