#pragma once
// A text on its way to ids of a SentencePiece vocabulary: what may be merged together, a little at a time.

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/fragment_encoding.h"
#include "model/piece_merger.h"
#include "model/sentencepiece.h"

namespace headwater::model {

class SentencePieceEncoding : public FragmentEncoding {
 public:
  /// `tokenizer` and `text` outlive it.
  SentencePieceEncoding(const SentencePieceTokenizer& tokenizer, std::string_view text, EncodeOptions options);

 private:
  void begin(std::string_view fragment) override;
  bool go_on(std::size_t& bytes) override;

  /// Bytes at the beginning of rest_ up to where no piece goes on: what stands on either side of such a place knows
  /// nothing of the other. More than `most`: there is none before.
  std::size_t word_length(std::size_t most) const;
  void encode_word(std::string_view word);
  /// Gives the merger the characters of a long word. False: `bytes` are used up before it ends.
  bool take_long_word(std::size_t& bytes);
  /// False: `bytes` are used up before all of a word is there.
  bool add_pieces(std::size_t& bytes);
  void add_piece(std::string_view piece);

  /// Where the ids of a word stand that has come before.
  struct Seen {
    std::size_t at = 0, count = 0;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };

  const SentencePieceTokenizer& tokenizer_;
  bool repeats_;              ///< the text is long enough for words to come again
  std::string room_;          ///< the fragment, where it is not there as pieces have it
  std::size_t first_id_ = 0;  ///< of the fragment
  std::string_view rest_;     ///< of the fragment, not yet given to the merger
  PieceMerger merger_;
  bool taking_ = false;   ///< a long word's characters are under way
  bool merging_ = false;  ///< a long word is being merged
  std::unordered_map<std::string, Seen, Hash, std::equal_to<>> seen_;
};

}  // namespace headwater::model
