#pragma once
// A text on its way to ids, a little at a time: finds the special tokens, and leaves what is between them to others.

#include <string_view>

#include "model/vocabulary.h"

namespace headwater::model {

class FragmentEncoding : public Encoding {
 public:
  bool advance(std::size_t bytes) final;

 protected:
  /// `tokenizer` and `text` outlive it.
  FragmentEncoding(const VocabularyTokenizer& tokenizer, std::string_view text, EncodeOptions options);

 private:
  /// Begins with the text between two special tokens. REQUIRES: it is not empty, and the one before is done.
  virtual void begin(std::string_view fragment) = 0;
  /// Goes on with it for about `bytes`, and takes off what it has used. True: it is done.
  virtual bool go_on(std::size_t& bytes) = 0;

  /// Up to the next special token, or for so many bytes.
  void find_special(std::size_t& bytes);

  const VocabularyTokenizer& vocabulary_;
  std::string_view text_;
  bool parse_special_;
  std::size_t begin_ = 0;   ///< of what has not been given to begin()
  std::size_t at_ = 0;      ///< up to where special tokens have been looked for
  bool open_ = false;       ///< a fragment is under way
  TokenId special_ = -1;    ///< comes after it
  bool stripping_ = false;  ///< the token before begin_ strips
  TokenId last_ = -1;       ///< comes after all
};

}  // namespace headwater::model
