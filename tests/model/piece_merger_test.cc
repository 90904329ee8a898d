#include "model/piece_merger.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace headwater::model {
namespace {

using Texts = std::vector<std::string>;

/// Of letters, `slice` steps at a time.
Texts merge(const PieceTable& pieces, std::string_view text, std::size_t slice) {
  PieceMerger merger(pieces);
  merger.begin(text);
  for (std::size_t i = 0; i < text.size(); ++i) merger.push(1);
  for (std::size_t steps = slice; !merger.advance(steps); steps = slice) {
  }
  Texts found;
  for (auto piece = merger.next(); !piece.empty(); piece = merger.next()) found.emplace_back(piece);
  return found;
}

TEST(PieceMerger, MergesTheBestScoreFirstAndTheLeftOneOfEquals) {
  PieceTable pieces;
  pieces.reserve(4, 16);
  pieces.add("ab", {1, -1});
  pieces.add("bc", {2, -1});
  pieces.add("cd", {3, -0.5F});
  pieces.add("abcd", {4, -9});
  for (const std::size_t slice : {std::size_t{1}, std::numeric_limits<std::size_t>::max()}) {
    EXPECT_EQ(merge(pieces, "abc", slice), (Texts{"ab", "c"}));
    EXPECT_EQ(merge(pieces, "abcd", slice), (Texts{"abcd"}));
    EXPECT_EQ(merge(pieces, "bcd", slice), (Texts{"b", "cd"}));
    EXPECT_EQ(merge(pieces, "aabcx", slice), (Texts{"a", "ab", "c", "x"}));
    EXPECT_EQ(merge(pieces, "", slice), Texts{});
  }
}

TEST(PieceMerger, PassesOverAMergeWhoseNeighboursHaveChanged) {
  PieceTable pieces;
  pieces.reserve(4, 16);
  pieces.add("aa", {1, -1});
  pieces.add("aaa", {2, -2});
  EXPECT_EQ(merge(pieces, "aaaaa", 1), (Texts{"aa", "aaa"}));
}

}  // namespace
}  // namespace headwater::model
