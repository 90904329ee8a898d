#pragma once
// The tokens that are found in a text as a whole, before words are cut.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"

namespace headwater::model {

/// Threading: immutable; any number of threads may search.
class SpecialTokens {
 public:
  struct Entry {
    std::string text;
    TokenId id = -1;
    bool control = false;  ///< found only where special tokens are asked for
  };
  struct Match {
    TokenId id = -1;  ///< -1: none
    std::size_t length = 0;
  };

  SpecialTokens() = default;
  /// REQUIRES: no text is empty or there twice.
  explicit SpecialTokens(std::vector<Entry> entries);

  /// The longest that stands at the beginning of `text`; `with_control`: control tokens count as well.
  Match longest_at(std::string_view text, bool with_control) const;
  /// The token with exactly this text, -1: none.
  TokenId find(std::string_view text) const;

 private:
  std::vector<Entry> entries_;                 ///< in the order of their texts
  std::array<std::uint32_t, 257> first_ = {};  ///< where those begin whose text begins with a byte
};

}  // namespace headwater::model
