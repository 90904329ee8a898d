#pragma once
// Which indexed block begins most like a text goes on: the blocks that follow one parent, in the order of their
// tokens. What begins most alike then stands next to where the text would stand. Threading: one caller at a time.

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>

#include "base/ids.h"
#include "cache/key.h"

namespace headwater::cache {

class PartialIndex {
 public:
  /// `tokens` are read until the block is removed. REQUIRES: no other block of the parent has the same.
  void add(const Key& parent, BlockId block, std::span<const TokenId> tokens);
  void remove(const Key& parent, std::span<const TokenId> tokens);
  void clear() { children_.clear(); }

  struct Found {
    BlockId block = -1;        ///< -1: none
    std::uint32_t tokens = 0;  ///< leading ones that agree, at least 1
  };
  /// The block of the parent that begins with most of `next`, of those of whose tokens at least the share `threshold`
  /// agrees. Looks at no more than the kNeighbours next to `next` on either side.
  Found best(const Key& parent, std::span<const TokenId> next, double threshold) const;

  static constexpr std::uint32_t kNeighbours = 16;

  /// Whether the block has been added with these tokens. For checks.
  bool holds(const Key& parent, BlockId block, std::span<const TokenId> tokens) const;
  std::size_t size() const;

 private:
  struct Before {
    bool operator()(std::span<const TokenId> left, std::span<const TokenId> right) const {
      return std::ranges::lexicographical_compare(left, right);
    }
  };
  using Children = std::map<std::span<const TokenId>, BlockId, Before>;
  std::unordered_map<Key, Children, KeyHash> children_;
};

}  // namespace headwater::cache
