#include "tools/eval/long_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/documents.h"
#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<std::vector<WatchedText>> read(const std::string& jsonl) { return read_watched_texts(jsonl, "r.jsonl", 100, 4); }

TEST(LongContext, ReadsWhatAReferenceSaysOfPositions) {
  const auto texts = read(R"({"ids": [5, 6, 7], "positions": [0, 2], "top10_ids": [[1, 2], [3]],)"
                          R"( "top10_logprobs": [[-0.5, -2], [-1]]})");
  ASSERT_TRUE(texts.ok()) << texts.error().message;
  ASSERT_EQ(texts->size(), 1U);
  const WatchedText& text = texts->front();
  EXPECT_EQ(text.place, "r.jsonl:1");
  EXPECT_THAT(text.tokens, ElementsAre(5, 6, 7));
  ASSERT_EQ(text.watched.size(), 2U);
  EXPECT_EQ(text.watched[1].position, 2U);
  EXPECT_THAT(text.watched[0].ids, ElementsAre(1, 2));
  EXPECT_THAT(text.watched[0].logprobs, ElementsAre(-0.5, -2));
}

TEST(LongContext, SaysWhatIsWrongWithARecord) {
  const auto mistake = [](const std::string& ids, const std::string& positions, const std::string& top_ids,
                          const std::string& logprobs) {
    const auto texts = read("{\"ids\": " + ids + ", \"positions\": " + positions + ", \"top10_ids\": " + top_ids +
                            ", \"top10_logprobs\": " + logprobs + "}");
    return texts ? "" : texts.error().message;
  };
  EXPECT_EQ(mistake("[1, 2]", "[1]", "[[1]]", "[[-1]]"), "");
  EXPECT_THAT(mistake("[1, 100]", "[1]", "[[1]]", "[[-1]]"), HasSubstr("r.jsonl:1: \"ids[1]\" is no token"));
  EXPECT_THAT(mistake("[1]", "[0]", "[[1]]", "[[-1]]"), HasSubstr("at least 2 tokens"));
  EXPECT_THAT(mistake("[1, 2, 3, 4, 5]", "[1]", "[[1]]", "[[-1]]"),
              HasSubstr("\"ids\" has 5 tokens, and the model's context 4"));
  EXPECT_THAT(mistake("[1, 2]", "[2]", "[[1]]", "[[-1]]"), HasSubstr("\"positions[0]\" is not what was expected"));
  EXPECT_THAT(mistake("[1, 2]", "[1, 0]", "[[1], [1]]", "[[-1], [-1]]"), HasSubstr("do not ascend"));
  EXPECT_THAT(mistake("[1, 2]", "[1, 1]", "[[1], [1]]", "[[-1], [-1]]"), HasSubstr("do not ascend"));
  EXPECT_THAT(mistake("[1, 2]", "[1]", "[[1], [1]]", "[[-1]]"), HasSubstr("other lengths than \"positions\""));
  EXPECT_THAT(mistake("[1, 2]", "[1]", "[[1, 2]]", "[[-1]]"), HasSubstr("\"top10_ids[0]\" and"));
  EXPECT_THAT(mistake("[1, 2]", "[1]", "[3]", "[[-1]]"), HasSubstr("\"top10_ids[0]\" is not what was expected"));
  EXPECT_THAT(mistake("[1, 2]", "[1]", "[[1]]", "[[\"a\"]]"), HasSubstr("\"top10_logprobs[0][0]\" is not"));
  EXPECT_THAT(read("").error().message, HasSubstr("r.jsonl: there are no records"));
}

TEST(LongContext, BeginsWithTheModelsBosAndEndsWithItsContext) {
  EXPECT_THAT(watched_text(text({4, 5, 6}, 1), 10).tokens, ElementsAre(1, 4, 5, 6));
  EXPECT_THAT(watched_text(text({4, 5, 6}, 1), 3).tokens, ElementsAre(1, 4, 5));
  EXPECT_THAT(watched_text(text({4, 5, 6}), 2).tokens, ElementsAre(4, 5));
}

TEST(LongContext, IsThatWorkedOutByHand) {
  // After token 0: 1/2, 1/4, 1/4; after token 1: 1/8, 1/8, 3/4.
  TableModel model(3, {{std::log(2.F), 0, 0}, {0, 0, std::log(6.F)}, {0, 0, 0}});
  Scorer scorer(model);
  scorer.reset({"0"}, 3);
  const WatchedText text{"t", {0, 1, 2}, {{1, {2, 0}, {std::log(0.5), std::log(0.25)}}, {2, {1}, {std::log(0.5)}}}};
  const auto sums = measure(scorer, text);
  ASSERT_TRUE(sums.ok());
  EXPECT_EQ(sums->tokens, 2U);
  EXPECT_NEAR(sums->nll, std::log(4.0) + std::log(4.0 / 3), 1e-6);
  EXPECT_EQ(sums->top_tokens, 3U);
  // 3/4 for 1/2, 1/8 for 1/4; after the last token 1/3 for 1/2.
  EXPECT_NEAR(sums->top_difference, std::log(1.5) + std::log(2.0) + std::log(1.5), 1e-6);
}

TEST(LongContext, OfAModelHeldAgainstItselfIsNoDifference) {
  HashModel model;
  Scorer scorer(model);
  std::vector<TokenId> tokens(300);
  for (int i = 0; i < 300; ++i) tokens[static_cast<std::size_t>(i)] = (i * 37 + 11) % 250;
  WatchedText text{"t", tokens, {}};
  scorer.reset({"0"}, tokens.size());
  ASSERT_TRUE(watch(scorer, text, 64).ok());
  ASSERT_EQ(text.watched.size(), 300U - 64U);
  EXPECT_EQ(text.watched.front().position, 64U);
  for (const Watched& at : text.watched) {
    ASSERT_EQ(at.ids.size(), 10U);
    EXPECT_EQ(at.ids[0], HashModel::next(std::span(tokens).first(at.position + 1)));
  }
  const auto sums = measure(scorer, text);
  ASSERT_TRUE(sums.ok());
  EXPECT_EQ(sums->top_tokens, 2360U);
  EXPECT_NEAR(sums->mean_top_difference().value_or(1), 0, 1e-6);
  EXPECT_NEAR(sums->nll, model.nll(tokens, 1), 1e-3);
}

TEST(LongContext, ShorterThanTheFirstPositionHasNothingToWatch) {
  HashModel model;
  Scorer scorer(model);
  scorer.reset({"0"}, 3);
  WatchedText text{"t", {1, 2, 3}, {}};
  ASSERT_TRUE(watch(scorer, text, 64).ok());
  EXPECT_TRUE(text.watched.empty());
  EXPECT_FALSE(measure(scorer, text)->mean_top_difference().has_value());
}

TEST(LongContext, NamesThePositionWhoseLogitsAreNotUsable) {
  const float none = std::numeric_limits<float>::quiet_NaN();
  TableModel model(2, {{0, 0}, {0, none}});
  Scorer scorer(model);
  scorer.reset({"0"}, 3);
  WatchedText text{"t", {0, 0, 1}, {}};
  EXPECT_THAT(measure(scorer, text).error().message, HasSubstr("t: the model gave no usable logits at position 2"));
  EXPECT_THAT(watch(scorer, text, 1).error().message, HasSubstr("t: the model gave no usable logits at position 2"));
}

}  // namespace
}  // namespace headwater::eval
