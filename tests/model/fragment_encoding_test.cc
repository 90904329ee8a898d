#include "model/fragment_encoding.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/model/tiny_sentencepiece.h"

namespace headwater::model {
namespace {

/// With the tokens 280 <|end|> and 281 <|endoftext|>.
test::GgufWriter marked_file() {
  std::vector<test::PieceRow> rows = test::tiny_pieces();
  rows.insert(rows.end(), {{"<|end|>", 0, 3}, {"<|endoftext|>", 0, 3}});
  return test::sentencepiece_file(rows, false);
}

std::vector<TokenId> sliced(const Tokenizer& tokenizer, std::string_view text) {
  const auto encoding = tokenizer.begin_encoding(text, {.parse_special = true});
  while (!encoding->advance(1)) {
  }
  return encoding->ids();
}

TEST(FragmentEncoding, DropsWhiteSpaceBehindTheSpecialTokensOfPhi3) {
  const std::string text = "<|end|> \n\t\v\f\rthe<|endoftext|> the</s>\n[tool] the  <|end|>\n";
  const std::vector<TokenId> stripped = {280, 271, 281, 273, 2, 278, 271, 279, 280};
  const auto by_name = test::load_tokenizer(marked_file().add_string("general.name", "My PHI-3 mini")).value();
  EXPECT_EQ(by_name->encode(text, {.parse_special = true}), stripped);
  EXPECT_EQ(sliced(*by_name, text), stripped);
  const auto by_kind =
      test::load_tokenizer(
          marked_file().add_string("general.name", "Phi 3.5").add_string("general.architecture", "phi3"))
          .value();
  EXPECT_EQ(by_kind->encode(text, {.parse_special = true}), stripped);
  EXPECT_EQ(by_kind->encode("<s> the", {.parse_special = true}), (std::vector<TokenId>{1, 273}));
  const auto other = test::load_tokenizer(marked_file().add_string("general.architecture", "llama")).value();
  EXPECT_EQ(other->encode("<|end|> the", {.parse_special = true}), (std::vector<TokenId>{280, 273}));
}

TEST(FragmentEncoding, CountsNoWhiteSpaceThatMayBeDroppedAsSpelled) {
  const auto tokenizer = test::load_tokenizer(marked_file().add_string("general.name", "phi3")).value();
  std::string text = "<|end|>";
  text.append(100'000, ' ');
  EXPECT_EQ(tokenizer->encode(text, {.parse_special = true}), std::vector<TokenId>{280});
  EXPECT_EQ(sliced(*tokenizer, text), std::vector<TokenId>{280});
  EXPECT_LE(tokenizer->spelled_bytes(text), tokenizer->max_bytes_for(1));
}

TEST(FragmentEncoding, StopsAfterASliceOfSpecialTokensAlone) {
  const auto tokenizer = test::tiny_sentencepiece();
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "<s>";
  const auto encoding = tokenizer->begin_encoding(text, {.parse_special = true});
  std::size_t slices = 1;
  while (!encoding->advance(100)) ++slices;
  EXPECT_GE(slices, 50U);
  EXPECT_EQ(encoding->ids(), std::vector<TokenId>(10'000, 1));
}

TEST(FragmentEncoding, StaysDoneOnceItIs) {
  const auto tokenizer =
      test::load_tokenizer(test::sentencepiece_file(test::tiny_pieces()).add_bool("tokenizer.ggml.add_eos_token", true))
          .value();
  const auto encoding = tokenizer->begin_encoding("the", {.add_special = true});
  EXPECT_TRUE(encoding->advance(std::numeric_limits<std::size_t>::max()));
  EXPECT_TRUE(encoding->advance(0));
  EXPECT_EQ(encoding->ids().size(), 3U) << "with one EOS";
}

}  // namespace
}  // namespace headwater::model
