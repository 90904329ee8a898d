#pragma once
// Text to token ids a slice at a time, for what must not hold others up.

#include <cstddef>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "model/tokenizer.h"

namespace headwater::model {

/// A text that is encoded a slice at a time. However it is sliced, the ids are those of Tokenizer::encode().
/// Threading: one caller at a time.
class Encoding {
 public:
  virtual ~Encoding() = default;
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;

  /// Goes on for about so many bytes; a slice of n bytes takes O(n log n), but for a pass over the text that finds
  /// where UTF-8 is valid. True: all of the text is encoded.
  virtual bool advance(std::size_t bytes) = 0;
  /// As far as the text is encoded.
  const std::vector<TokenId>& ids() const { return ids_; }
  std::vector<TokenId> take() && { return std::move(ids_); }

 protected:
  Encoding() = default;
  std::vector<TokenId> ids_;
};

/// A tokenizer that encodes in slices.
class SlicedTokenizer : public Tokenizer {
 public:
  static constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override {
    const std::unique_ptr<Encoding> encoding = begin(text, options);
    while (!encoding->advance(kAny)) {
    }
    return std::move(*encoding).take();
  }
  /// The text and the tokenizer outlive it.
  virtual std::unique_ptr<Encoding> begin(std::string_view text, EncodeOptions options) const = 0;
  /// A text of more bytes has more than `tokens` tokens, whatever it says.
  virtual std::size_t max_bytes_for(std::size_t tokens) const = 0;
};

// For any tokenizer; one that does not slice encodes all at once, and rules nothing out.
std::unique_ptr<Encoding> begin_encoding(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options);
std::size_t max_bytes_for(const Tokenizer& tokenizer, std::size_t tokens);

}  // namespace headwater::model
