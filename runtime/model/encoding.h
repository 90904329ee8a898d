#pragma once
// Text to token ids a slice at a time, for what must not hold others up.

#include <cstddef>
#include <utility>
#include <vector>

#include "headwater/request.h"

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

}  // namespace headwater::model
