#pragma once
// The pieces of a SentencePiece vocabulary by their text, and which characters may stand side by side in one.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "headwater/request.h"

namespace headwater::model {

/// Threading: any number of threads may search once all is added.
class PieceTable {
 public:
  struct Piece {
    TokenId id = -1;  ///< -1: none
    float score = 0;  ///< of two, the higher is merged first
  };

  /// How many will be added, and of how many bytes together.
  void reserve(std::size_t pieces, std::size_t bytes);
  /// REQUIRES: `text` is not empty, was not added before and outlives the table.
  void add(std::string_view text, Piece piece);

  Piece find(std::string_view text) const;
  /// Whether a piece may have these characters one after the other: where it is false, none has.
  bool joins(std::string_view left, std::string_view right) const;
  /// Bytes that no piece has more of.
  std::size_t longest() const { return longest_; }

 private:
  std::unordered_map<std::string_view, Piece> pieces_;
  std::vector<std::uint64_t> joints_{0};  ///< a bit for the hash of two characters; their number is a power of two
  std::size_t longest_ = 0;
};

/// The bytes of the character at the beginning of `text`; one that is not UTF-8 ends where it goes wrong.
std::size_t character_length(std::string_view text);

}  // namespace headwater::model
