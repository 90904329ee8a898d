#include "model/word_merger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace headwater::model {
namespace {

using Ids = std::vector<TokenId>;

/// Merges of 6 letters and what comes of them, at random.
MergeTable random_merges(std::mt19937& random) {
  MergeTable merges;
  TokenId known = 6;
  for (std::uint32_t rank = 0; rank < 40; ++rank) {
    const auto left = static_cast<TokenId>(random() % static_cast<unsigned>(known));
    const auto right = static_cast<TokenId>(random() % static_cast<unsigned>(known));
    if (merges.add(left, right, {rank, known})) ++known;
  }
  return merges;
}

/// As the definition says: the lowest rank, the leftmost of equals, again and again.
Ids by_definition(const MergeTable& merges, Ids word) {
  while (true) {
    std::size_t best = word.size();
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto merge = merges.find(word[i], word[i + 1]);
      if (merge.merged < 0) continue;
      if (best == word.size() || merge.rank < merges.find(word[best], word[best + 1]).rank) best = i;
    }
    if (best == word.size()) return word;
    word[best] = merges.find(word[best], word[best + 1]).merged;
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

Ids merge_long(const MergeTable& merges, const Ids& word, std::size_t slice) {
  WordMerger merger(merges);
  merger.begin(word);
  for (std::size_t steps = slice; !merger.advance(steps); steps = slice) {
  }
  Ids out;
  merger.take(out);
  return out;
}

TEST(WordMerger, MergesNothingAcrossASymbolWithoutAnIdAndLeavesItOut) {
  MergeTable merges;
  merges.add(0, 1, {0, 2});
  Ids word = {0, 1, 0, -1, 1, -1, 0, 1};
  EXPECT_EQ(merge_long(merges, word, 1), (Ids{2, 0, 1, 2}));
  word.resize(WordMerger(merges).merge_short(word));
  EXPECT_EQ(word, (Ids{2, 0, -1, 1, -1, 2}));
}

TEST(WordMerger, MergesAsTheDefinitionSaysHoweverItIsSliced) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    const MergeTable merges = random_merges(random);
    Ids word(random() % 60);
    for (TokenId& id : word) id = static_cast<TokenId>(random() % 6);
    const Ids expected = by_definition(merges, word);
    ASSERT_EQ(merge_long(merges, word, std::numeric_limits<std::size_t>::max()), expected);
    ASSERT_EQ(merge_long(merges, word, 1 + random() % 7), expected);
    WordMerger merger(merges);
    Ids in_place = word;
    in_place.resize(merger.merge_short(in_place));
    ASSERT_EQ(in_place, expected);
  }
}

TEST(WordMerger, TakesStepsInProportionToAWordsLength) {
  MergeTable merges;
  for (TokenId level = 0; level < 12; ++level) merges.add(level, level, {static_cast<std::uint32_t>(level), level + 1});
  const auto steps_for = [&](std::size_t length) {
    WordMerger merger(merges);
    merger.begin(Ids(length, 0));
    std::size_t used = 0;
    for (std::size_t steps = 1; !merger.advance(steps); steps = 1) ++used;
    return used;
  };
  EXPECT_LT(steps_for(1 << 16), 9 * steps_for(1 << 13)) << "eight times the word";
}

TEST(WordMerger, TellsAPairThatIsThereTwice) {
  MergeTable merges;
  EXPECT_TRUE(merges.add(1, 2, {0, 3}));
  EXPECT_FALSE(merges.add(1, 2, {1, 4}));
  EXPECT_EQ(merges.find(1, 2).merged, 3);
  EXPECT_LT(merges.find(2, 1).merged, 0);
}

}  // namespace
}  // namespace headwater::model
