#pragma once
// Byte pair encoding of one word: neighbours are merged, the pair of lowest rank first, the left one of equals.
// A word of n symbols takes O(n log n), and may be merged a little at a time.
// Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units", 2016.

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "headwater/request.h"

namespace headwater::model {

/// Which pairs of tokens become one, and the best first.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank = 0;
    TokenId merged = -1;  ///< -1: none
  };

  /// False: the pair is there already.
  bool add(TokenId left, TokenId right, Merge merge) { return merges_.try_emplace(key(left, right), merge).second; }
  Merge find(TokenId left, TokenId right) const {
    const auto found = merges_.find(key(left, right));
    return found == merges_.end() ? Merge{} : found->second;
  }
  void reserve(std::size_t merges) { merges_.reserve(merges); }

 private:
  static std::uint64_t key(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U | static_cast<std::uint32_t>(right);
  }
  std::unordered_map<std::uint64_t, Merge> merges_;
};

/// A symbol of -1 merges with nothing. Threading: one caller at a time.
class WordMerger {
 public:
  /// `merges` outlives it.
  explicit WordMerger(const MergeTable& merges) : merges_(&merges) {}

  /// Merges a short word in place; returns how many symbols are left. Quick up to some 32 symbols.
  std::size_t merge_short(std::span<TokenId> symbols);

  /// Begins with a word of any length.
  void begin(std::span<const TokenId> symbols);
  /// Goes on for about `steps` symbols or merges, and takes off what it has used. True: the word is done.
  bool advance(std::size_t& steps);
  /// Appends what is left of the word, but for symbols of -1. REQUIRES: it is done.
  void take(std::vector<TokenId>& out);

 private:
  struct Symbol {
    TokenId id;
    std::int32_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t left;
    TokenId left_id, right_id, merged;
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };

  void offer(std::int32_t left);
  void merge_next();

  const MergeTable* merges_;
  std::vector<MergeTable::Merge> pairs_;  ///< of a short word
  // Of a long one: a doubly linked list, and a heap of the merges that are possible between neighbours.
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  std::size_t offered_ = 0;
};

}  // namespace headwater::model
