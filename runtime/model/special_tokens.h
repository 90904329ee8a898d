#pragma once
// The tokens that are found in a text as a whole, before words are cut: a trie over their bytes.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "headwater/request.h"

namespace headwater::model {

/// Threading: any number of threads may search once the last token has been added.
class SpecialTokens {
 public:
  struct Match {
    TokenId id = -1;  ///< -1: none
    std::size_t length = 0;
  };

  /// `control`: found only where special tokens are asked for. REQUIRES: `text` is not empty and was not added before.
  void add(std::string_view text, TokenId id, bool control);

  /// The longest that stands at the beginning of `text`; `with_control`: control tokens count as well.
  Match longest_at(std::string_view text, bool with_control) const;
  /// The token with exactly this text, -1: none.
  TokenId find(std::string_view text) const;

 private:
  struct Node {
    TokenId id = -1;  ///< the token that ends here
    bool control = false;
  };
  /// The node that follows `node` by `byte`, 0: none.
  std::uint32_t next(std::uint32_t node, char byte) const;

  std::vector<Node> nodes_{Node{}};  ///< the first is the root
  std::uint32_t first_[256] = {};    ///< what follows the root, which is asked at every byte of a text
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
};

}  // namespace headwater::model
