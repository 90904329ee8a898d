#pragma once
// A text encoded slice by slice.

#include <string>
#include <utility>
#include <vector>

#include "model/tokenizer.h"

namespace headwater::test {

inline std::vector<TokenId> sliced(const model::Tokenizer& tokenizer, const std::string& text,
                                   model::EncodeOptions options, std::size_t bytes) {
  const auto encoding = tokenizer.begin_encoding(text, options);
  while (!encoding->advance(bytes)) {
  }
  return std::move(*encoding).take();
}

}  // namespace headwater::test
