#include "model/sentencepiece.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/model/tiny_sentencepiece.h"

namespace headwater::model {
namespace {

using test::PieceRow;
using Texts = std::vector<std::string>;

Texts pieces(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  Texts found;
  for (TokenId id : tokenizer.encode(text, options)) found.emplace_back(tokenizer.token_bytes(id));
  return found;
}

TEST(SentencePiece, MergesTheBestScoreFirst) {
  const auto tokenizer = test::tiny_sentencepiece(false);
  EXPECT_EQ(pieces(*tokenizer, "the"), (Texts{"the"}));    // "th" before "he"
  EXPECT_EQ(pieces(*tokenizer, " the"), (Texts{" the"}));  // by "th", "the"
  EXPECT_EQ(pieces(*tokenizer, " to the"), (Texts{" t", "o", " the"}));
  EXPECT_EQ(pieces(*tokenizer, "rer"), (Texts{"re", "r"}));  // of equals, the left one
  EXPECT_TRUE(tokenizer->encode("", {}).empty());
}

TEST(SentencePiece, BeginsATextWithASpaceWhereTheFileAsksForIt) {
  const auto tokenizer = test::tiny_sentencepiece(true);
  EXPECT_EQ(pieces(*tokenizer, "the"), (Texts{" the"}));
  EXPECT_EQ(pieces(*tokenizer, "the</s>the", {.parse_special = true}), (Texts{" the", "</s>", " the"}));
  EXPECT_EQ(pieces(*tokenizer, "</s>", {.parse_special = true}), (Texts{"</s>"}));
  EXPECT_TRUE(tokenizer->encode("", {}).empty());
}

TEST(SentencePiece, DecodesFromTheStartWithoutTheSpaceThatItHasAdded) {
  const auto tokenizer = test::tiny_sentencepiece(true);
  for (const std::string text : {"the other", " the", "   ", "", "\n", "\u00e9t\u00e9"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {})), text);
  }
  const auto ids = tokenizer->encode("the", {});
  EXPECT_EQ(tokenizer->token_bytes(ids[0]), " the") << "in the midst of a text it is there";
  const auto without = test::tiny_sentencepiece(false);
  EXPECT_EQ(without->decode(without->encode(" the", {})), " the");
}

TEST(SentencePiece, SpellsWhatIsNoPieceInBytes) {
  const auto tokenizer = test::tiny_sentencepiece(false);
  EXPECT_EQ(tokenizer->encode("x\u20ac", {}), (std::vector<TokenId>{3 + 'x', 3 + 0xE2, 3 + 0x82, 3 + 0xAC}));
  EXPECT_EQ(tokenizer->token_bytes(3 + 0xE2), "\xE2");
  EXPECT_EQ(pieces(*tokenizer, "\u00e9"), (Texts{"\u00e9"}));
}

TEST(SentencePiece, RoundTripsEveryByteSequenceWithoutAUsersTokens) {
  // Behind those a space is put in front as well.
  auto rows = test::tiny_pieces();
  std::erase_if(rows, [](const PieceRow& row) { return row.kind == 4; });
  const auto tokenizer = test::load_tokenizer(test::sentencepiece_file(rows)).value();
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (unsigned n = random() % 60; n > 0; --n) {
      text += random() % 3 == 0 ? " the" : std::string(1, static_cast<char>(random() % 256));
    }
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, {})), with_spaces(text));
  }
}

TEST(SentencePiece, TakesTheSpaceMarkForASpace) {
  const auto tokenizer = test::tiny_sentencepiece(false);
  EXPECT_EQ(tokenizer->encode("\u2581the\u2581", {}), tokenizer->encode(" the ", {}));
  EXPECT_EQ(with_spaces("\u2581a\u2581\u2581"), " a  ");
  EXPECT_EQ(tokenizer->spelled_bytes("\u2581a\u2581"), 3U);
}

TEST(SentencePiece, MakesNoSpecialTokenOfPlainText) {
  const auto tokenizer = test::tiny_sentencepiece(false);
  // "<s" and ">" are pieces, and their neighbours would be "<s>".
  EXPECT_EQ(pieces(*tokenizer, "<s>"), (Texts{"<s", ">"}));
  EXPECT_EQ(tokenizer->encode("<s>", {.parse_special = true}), std::vector<TokenId>{1});
  EXPECT_EQ(tokenizer->encode("<0x41>", {.parse_special = true}).size(), 6U) << "nor a byte of how it is written";
  EXPECT_GT(tokenizer->encode("<unk>", {}).size(), 1U);
  EXPECT_TRUE(tokenizer->is_control(0));
  EXPECT_TRUE(tokenizer->is_end(2));
}

TEST(SentencePiece, FindsAUsersTokensInAnyText) {
  const auto tokenizer = test::tiny_sentencepiece(false);
  EXPECT_EQ(pieces(*tokenizer, "the[tool]the"), (Texts{"the", "[tool]", "the"}));
  const auto spaces = tokenizer->encode("the  the", {});
  ASSERT_EQ(spaces.size(), 3U);
  EXPECT_EQ(spaces[1], tokenizer->find_special("  ")) << "and not the piece of two space marks";
}

TEST(SentencePiece, PutsBosInFrontAndEosBehindAsTheFileAsksForIt) {
  const auto ids = [](const test::GgufWriter& writer) {
    return test::load_tokenizer(writer).value()->encode("the", {.add_special = true}).size();
  };
  const auto file = [] { return test::sentencepiece_file(test::tiny_pieces()); };
  EXPECT_EQ(ids(file()), 2U) << "BOS unless it says otherwise";
  EXPECT_EQ(ids(file().add_bool("tokenizer.ggml.add_bos_token", false)), 1U);
  EXPECT_EQ(ids(file().add_bool("tokenizer.ggml.add_eos_token", true)), 3U);
  const auto both = test::load_tokenizer(file().add_bool("tokenizer.ggml.add_eos_token", true)).value();
  const auto all = both->encode("the", {.add_special = true});
  EXPECT_EQ(all.front(), 1);
  EXPECT_EQ(all.back(), 2);
  EXPECT_EQ(both->encode("", {.add_special = true}), (std::vector<TokenId>{1, 2}));
}

/// The tiny vocabulary without tokens of bytes.
std::vector<PieceRow> without_bytes() {
  auto rows = test::tiny_pieces();
  std::erase_if(rows, [](const PieceRow& row) { return row.kind == 6; });
  return rows;
}

TEST(SentencePiece, GivesTheUnknownTokenForARunThatItCannotSpell) {
  const auto tokenizer = test::load_tokenizer(test::sentencepiece_file(without_bytes(), false)).value();
  EXPECT_EQ(pieces(*tokenizer, "thexyzthe"), (Texts{"the", "<unk>", "the"}));
  EXPECT_EQ(pieces(*tokenizer, "x</s>y", {.parse_special = true}), (Texts{"<unk>", "</s>", "<unk>"}));
  EXPECT_EQ(tokenizer->max_bytes_for(1), std::numeric_limits<std::size_t>::max());
  auto rows = without_bytes();
  rows[0].kind = 3;
  const auto dropping = test::load_tokenizer(test::sentencepiece_file(rows, false)).value();
  EXPECT_EQ(pieces(*dropping, "thexyzthe"), (Texts{"the", "the"})) << "where there is none, it is dropped";
}

TEST(SentencePiece, TakesLongTextsInReasonableTime) {
  const auto tokenizer = test::tiny_sentencepiece(false);
  for (const std::string part : {"the", "t", "x", " ", "\u00e9", "re"}) {
    std::string text;
    while (text.size() < 1 << 20) text += part;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {})), text);
  }
}

std::string message(const test::GgufWriter& writer, std::string_view pre_tokenizer = "") {
  const auto loaded = test::load_tokenizer(writer, pre_tokenizer);
  return loaded.ok() ? "fine" : loaded.error().message;
}

TEST(SentencePiece, RefusesAVocabularyThatDoesNotFitTogether) {
  const auto changed = [](const auto& change) {
    auto rows = test::tiny_pieces();
    change(rows);
    return message(test::sentencepiece_file(rows));
  };
  EXPECT_EQ(changed([](auto&) {}), "fine");
  const auto score = [&](float value) { return changed([&](auto& rows) { rows[260].score = value; }); };
  EXPECT_NE(score(std::numeric_limits<float>::quiet_NaN()).find("the score of token 260 is nan, expected a finite"),
            std::string::npos);
  EXPECT_NE(score(-std::numeric_limits<float>::infinity()).find("the score of token 260 is -inf"), std::string::npos);
  EXPECT_NE(changed([](auto& rows) { rows.erase(rows.begin() + 10); }).find("tokens for 255 of 256 bytes"),
            std::string::npos);
  EXPECT_NE(changed([](auto& rows) { rows[10].text = "<0xZZ>"; }).find("token 10 \"<0xZZ>\" is said to be a byte"),
            std::string::npos);
  EXPECT_NE(changed([](auto& rows) { rows.push_back({"the"}); }).find("in the vocabulary twice, expected each"),
            std::string::npos);
  EXPECT_EQ(changed([](auto& rows) { rows.push_back({""}); }), "fine");
  EXPECT_NE(changed([](auto& rows) { rows.push_back({std::string(1'000'000, 'a')}); }).find("has 1000000 bytes"),
            std::string::npos);
  auto short_scores = test::GgufWriter();
  short_scores.add_string("tokenizer.ggml.model", "llama")
      .add_strings("tokenizer.ggml.tokens", {"a", "b"})
      .add_f32s("tokenizer.ggml.scores", {0});
  EXPECT_NE(message(test::sentencepiece_file({})).find("\"tokenizer.ggml.tokens\" is an array of 0 strings"),
            std::string::npos);
  EXPECT_NE(message(short_scores).find("is an array of 1 number, expected 2 numbers, a score for each token"),
            std::string::npos);
  EXPECT_NE(message(test::GgufWriter().add_string("tokenizer.ggml.model", "llama")).find("tokenizer.ggml.tokens"),
            std::string::npos);
}

TEST(SentencePiece, HasNoPreTokenizer) {
  EXPECT_NE(message(test::sentencepiece_file(test::tiny_pieces()), "qwen2").find("leave --pre-tokenizer out"),
            std::string::npos);
}

}  // namespace
}  // namespace headwater::model
