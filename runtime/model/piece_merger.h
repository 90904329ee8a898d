#pragma once
// SentencePiece's byte pair encoding: neighbours whose text is a piece become one, the piece of the highest score
// first, the left one of equals. A text of n characters takes O(n log n), and may be merged a little at a time. Source:
// Kudo, Richardson, "SentencePiece: A simple and language independent subword tokenizer", 2018.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/piece_table.h"

namespace headwater::model {

/// Threading: one caller at a time.
class PieceMerger {
 public:
  /// `pieces` outlives it.
  explicit PieceMerger(const PieceTable& pieces) : pieces_(&pieces) {}

  /// Begins with a text, of which nothing is taken yet. It outlives the merging.
  void begin(std::string_view text);
  /// Takes the next `length` bytes of it as a symbol.
  void push(std::size_t length);
  /// Goes on for about `steps` merges, and takes off what it has used. True: nothing can be merged any more.
  /// REQUIRES: all that belongs together was pushed.
  bool advance(std::size_t& steps);
  /// The text of the next symbol that is left, from the first on; empty: there is no more. REQUIRES: advance() is done.
  std::string_view next();

 private:
  struct Symbol {
    std::uint32_t begin, length;  ///< length 0: it has become part of the one before
    std::int32_t previous, next;
  };
  struct Candidate {
    float score;
    std::int32_t left;
    std::uint32_t length;  ///< of both
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };

  std::string_view text_of(std::uint32_t begin, std::uint32_t length) const { return text_.substr(begin, length); }
  /// A symbol and the one after it become a candidate, if they make a piece.
  void offer(std::int32_t left);
  void merge_next();

  const PieceTable* pieces_;
  std::string_view text_;
  std::vector<Symbol> symbols_;        ///< a doubly linked list
  std::int32_t taken_ = 0;             ///< the symbol that next() gives
  std::vector<Candidate> candidates_;  ///< a heap
};

}  // namespace headwater::model
