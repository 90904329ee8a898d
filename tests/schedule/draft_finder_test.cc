#include "schedule/draft_finder.h"

#include <gtest/gtest.h>

#include <random>

namespace headwater::schedule {
namespace {

using Tokens = std::vector<TokenId>;

constexpr double kCheap = 0.1;

Tokens draft_of(const Tokens& tokens, std::uint32_t most = 8, double worth = kCheap) {
  DraftFinder finder;
  finder.advance(tokens);
  return finder.draft(tokens, most, worth);
}

/// Goes through a text token by token; what its guesses came to.
struct Replay {
  std::uint32_t steps = 0, drafted = 0, right = 0;

  Replay(DraftFinder& finder, const Tokens& text, std::size_t begin, double worth = kCheap) {
    for (std::size_t end = begin; end < text.size(); ++steps) {
      const Tokens known(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end));
      finder.advance(known);
      const Tokens draft = finder.draft(known, 8, worth);
      std::uint32_t good = 0;
      while (good < draft.size() && end + good < text.size() && draft[good] == text[end + good]) ++good;
      if (!draft.empty()) finder.judge(static_cast<std::uint32_t>(draft.size()), good);
      drafted += static_cast<std::uint32_t>(draft.size());
      right += good;
      end += good + 1;
    }
  }
};

Tokens random_text(std::size_t n, unsigned vocabulary, unsigned seed = 1) {
  std::mt19937 random(seed);
  Tokens tokens(n);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % vocabulary);
  return tokens;
}

TEST(DraftFinder, GuessesWhatFollowedTheLastTokensBefore) {
  EXPECT_EQ(draft_of({1, 2, 3, 4, 5, 9, 1, 2, 3}, 2), (Tokens{4, 5}));
  EXPECT_EQ(draft_of({1, 2, 3, 4, 5, 9, 1, 2, 3}, 1), Tokens{4});
}

TEST(DraftFinder, TakesTheLatestOfSeveralPlaces) {
  EXPECT_EQ(draft_of({1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 9, 1, 2, 3}, 1), Tokens{5});
}

TEST(DraftFinder, GuessesNothingWhereTooLittleHasStoodBefore) {
  EXPECT_TRUE(draft_of({1, 2, 3, 4, 5, 8, 2, 3}).empty());
  EXPECT_TRUE(draft_of({1}).empty());
  EXPECT_TRUE(draft_of({}).empty());
  EXPECT_TRUE(draft_of({1, 2, 3, 9, 1, 2, 3}, 0).empty());
}

TEST(DraftFinder, GoesRoundInCirclesWithTheText) {
  EXPECT_EQ(draft_of({7, 7, 7, 7, 7}, 3), (Tokens{7, 7, 7}));
  Tokens circle;
  for (int i = 0; i < 40; ++i) circle.push_back(i % 3);
  EXPECT_EQ(draft_of(circle, 5), (Tokens{1, 2, 0, 1, 2}));
}

TEST(DraftFinder, GuessesAsFarAsItIsLikelyToBeRight) {
  const Tokens twice = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3};
  const std::size_t cheap = draft_of(twice, 8, 0.01).size();
  const std::size_t dear = draft_of(twice, 8, 0.3).size();
  EXPECT_GT(cheap, dear);
  EXPECT_GE(dear, 1U);
}

TEST(DraftFinder, FollowsALongMatchThroughWhatStandsInManyPlaces) {
  Tokens text;
  for (TokenId i = 0; i < 60; ++i) text.insert(text.end(), {500, 501, 502, 100 + i, 200 + i});
  DraftFinder finder;
  const std::size_t once = text.size();
  text.insert(text.end(), text.begin(), text.begin() + 200);
  const Replay replay(finder, text, once);
  EXPECT_GT(replay.right, 160U);
  EXPECT_LT(replay.steps, 40U);
}

TEST(DraftFinder, GuessesMoreTheMoreOftenItIsRight) {
  const Tokens block = random_text(200, 50'000);
  Tokens text = block;
  text.insert(text.end(), block.begin(), block.end());
  DraftFinder finder;
  const Replay replay(finder, text, block.size());
  EXPECT_GT(replay.right, 160U);
  EXPECT_LT(replay.steps, 36U);  // a token or two at first, then eight and the one that is sampled
}

TEST(DraftFinder, RestsWhereItsGuessesAreWrong) {
  // Three tokens come again all the time, and another one follows each time.
  // Three tokens come again all the time, and others follow each time.
  Tokens wrong;
  for (TokenId i = 0; i < 400; ++i) wrong.insert(wrong.end(), {1, 2, 3, 1'000 + 2 * i, 1'001 + 2 * i});
  DraftFinder tired;
  std::uint32_t drafted = 0;
  for (std::size_t end = 5; end < wrong.size(); ++end) {
    const Tokens known(wrong.begin(), wrong.begin() + static_cast<std::ptrdiff_t>(end));
    tired.advance(known);
    const Tokens draft = tired.draft(known, 8, 0.2);
    if (!draft.empty()) tired.judge(static_cast<std::uint32_t>(draft.size()), 0);
    drafted += static_cast<std::uint32_t>(draft.size());
  }
  EXPECT_GT(drafted, 5U);
  EXPECT_LT(drafted, 40U);
}

TEST(DraftFinder, WakesUpWhereItsGuessesBecomeRight) {
  const Tokens block = random_text(300, 50'000);
  Tokens text;
  for (TokenId i = 0; i < 400; ++i) text.insert(text.end(), {1, 2, 3, 60'000 + 2 * i, 60'001 + 2 * i});
  const std::size_t begin = text.size();
  text.insert(text.end(), block.begin(), block.end());
  const std::size_t again = text.size();
  text.insert(text.end(), block.begin(), block.end());
  DraftFinder finder;
  const Replay wrong(finder, Tokens(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(begin)), 5);
  const Replay right(finder, text, again);
  EXPECT_GT(right.right, 200U);
}

TEST(DraftFinder, GuessesNextToNothingInRandomText) {
  DraftFinder finder;
  const Replay replay(finder, random_text(2'000, 1'000), 1, 0.2);
  EXPECT_LT(replay.drafted, 20U);
}

TEST(DraftFinder, FindsWhatIsRememberedInAVeryLongText) {
  const Tokens block = random_text(1'000, 50'000, 3);
  Tokens text = random_text(200'000, 50'000, 2);
  text.insert(text.end(), block.begin(), block.end());
  const std::size_t once = text.size();
  text.insert(text.end(), block.begin(), block.begin() + 100);
  DraftFinder finder;
  finder.advance({text.data(), once});
  const Replay replay(finder, text, once + 8);
  EXPECT_GT(replay.right, 60U);
}

TEST(DraftFinder, SaysTheSameHoweverItsTextCame) {
  Tokens text = random_text(400, 6);
  DraftFinder whole, pieces;
  whole.advance(text);
  for (std::size_t n = 1; n <= text.size(); ++n) pieces.advance({text.data(), n});
  EXPECT_EQ(whole.draft(text, 8, kCheap), pieces.draft(text, 8, kCheap));
}

}  // namespace
}  // namespace headwater::schedule
