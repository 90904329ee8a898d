#include "model/sentencepiece_encoding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "model/utf8.h"
#include "tests/model/sliced.h"
#include "tests/model/tiny_sentencepiece.h"

namespace headwater::model {
namespace {

std::string random_text(std::mt19937& random, std::size_t parts) {
  static const std::string kParts[] = {"the",    " other", "</s>", "<s>",    "\xff",
                                       "\u00e9", "  ",     "rere", "[tool]", "\u2581"};
  std::string text;
  for (std::size_t i = 0; i < parts; ++i) text += kParts[random() % std::size(kParts)];
  return text;
}

TEST(SentencePieceEncoding, GivesTheSameIdsHoweverItIsSliced) {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    const auto tokenizer = test::tiny_sentencepiece(round % 5 != 0);
    const std::string text = random_text(random, random() % 40);
    const EncodeOptions options{.add_special = round % 2 == 0, .parse_special = round % 3 == 0};
    ASSERT_EQ(test::sliced(*tokenizer, text, options, 1 + random() % 9), tokenizer->encode(text, options)) << text;
  }
}

/// As the definition says, on the text as a whole: of all neighbours that make a piece, those with the best score
/// become one, the leftmost of equals, again and again.
std::vector<std::string> by_definition(const std::vector<test::PieceRow>& rows, std::string_view text) {
  std::vector<std::string> symbols;
  while (!text.empty()) {
    symbols.emplace_back(text.substr(0, character_length(text)));
    text.remove_prefix(symbols.back().size());
  }
  while (true) {
    const test::PieceRow* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (const test::PieceRow& row : rows) {
        if (row.kind != 1 || with_spaces(row.text) != symbols[i] + symbols[i + 1]) continue;
        if (best != nullptr && row.score <= best->score) continue;
        best = &row;
        at = i;
      }
    }
    if (best == nullptr) return symbols;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

/// Pieces of a few letters at random, some of which are characters that are no pieces by themselves.
std::vector<test::PieceRow> random_pieces(std::mt19937& random) {
  static const std::string kLetters[] = {"a", "b", "c", "\u2581", "\u00e9"};
  auto rows = test::tiny_pieces();
  rows.resize(259);
  std::vector<std::string> known;
  for (int i = 0; i < 40; ++i) {
    std::string text = kLetters[random() % 5] + kLetters[random() % 5];
    if (!known.empty() && random() % 2 == 0) text = known[random() % known.size()] + kLetters[random() % 5];
    if (std::ranges::find(known, text) != known.end()) continue;
    known.push_back(text);
    rows.push_back({text, -static_cast<float>(random() % 8)});
  }
  return rows;
}

TEST(SentencePieceEncoding, MergesATextAsTheDefinitionSays) {
  static const std::string kLetters[] = {"a", "b", "c", " ", "\u00e9", "x"};
  std::mt19937 random(13);
  for (int round = 0; round < 200; ++round) {
    const auto rows = random_pieces(random);
    const auto tokenizer = test::load_tokenizer(test::sentencepiece_file(rows, false)).value();
    // Long ones are cut into words, some of which have no end for a while.
    std::string text;
    for (unsigned n = random() % 150; n > 0; --n) text += kLetters[random() % (round % 2 == 0 ? 6 : 3)];
    std::vector<std::string> expected;
    for (const std::string& piece : by_definition(rows, text)) {
      if (piece.size() > 1 && character_length(piece) < piece.size()) {
        expected.push_back(piece);
      } else {
        for (const char byte : piece) expected.emplace_back(1, byte);  // in bytes: no single letter is a piece
      }
    }
    std::vector<std::string> found;
    for (const TokenId id : test::sliced(*tokenizer, text, {}, 1 + random() % 50))
      found.emplace_back(tokenizer->token_bytes(id));
    ASSERT_EQ(found, expected) << text;
  }
}

TEST(SentencePieceEncoding, GivesAWordThatComesAgainTheSameIds) {
  const auto tokenizer = test::tiny_sentencepiece(true);
  std::string text;
  std::vector<TokenId> expected;
  for (int i = 0; i < 1000; ++i) {
    text += i == 0 ? "the" : i % 2 == 0 ? " the" : " otherx";
    const auto ids = tokenizer->encode(i % 2 == 0 ? "the" : "otherx", {});
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer->encode(text, {}), expected);
}

TEST(SentencePieceEncoding, StopsAfterASliceWhateverTheTextIs) {
  const auto tokenizer = test::tiny_sentencepiece(true);
  for (const char* part : {"x", " ", "the", "re", "[tool]", "\u2581"}) {
    std::string text;
    while (text.size() < 100'000) text += part;
    const auto encoding = tokenizer->begin_encoding(text, {});
    std::size_t slices = 1;
    while (!encoding->advance(1000)) ++slices;
    EXPECT_GE(slices, 10U) << part;
    EXPECT_LE(slices, 500U) << part;
  }
}

TEST(SentencePieceEncoding, RulesOutByLengthOnlyWhatHasMoreTokens) {
  const auto tokenizer = test::tiny_sentencepiece(true);
  std::mt19937 random(12);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, random() % 40);
    const std::size_t tokens = tokenizer->encode(text, {.parse_special = true}).size();
    EXPECT_LE(tokenizer->spelled_bytes(text), tokenizer->max_bytes_for(tokens)) << text;
  }
  EXPECT_LT(tokenizer->max_bytes_for(100), 10'000U);
}

}  // namespace
}  // namespace headwater::model
