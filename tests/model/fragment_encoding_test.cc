#include "model/fragment_encoding.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/model/tiny_sentencepiece.h"

namespace headwater::model {
namespace {

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
