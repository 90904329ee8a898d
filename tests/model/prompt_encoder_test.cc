#include "model/prompt_encoder.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/chat_template.h"
#include "tests/model/tiny_sentencepiece.h"
#include "tests/model/tiny_tokenizer.h"

namespace headwater::model {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

std::shared_ptr<const ChatTemplate> test_chat(const std::string& name) {
  return ChatTemplate::parse(ChatTemplate::read_source(name).value(), {}, name).value();
}

std::vector<TokenId> run(PromptEncoder encoder, std::size_t slice) {
  while (!encoder.advance(slice, kAny)) {
  }
  return std::move(encoder).take();
}

TEST(PromptEncoder, JoinsItsPartsHoweverItIsSliced) {
  const auto tokenizer = test::tiny_tokenizer();
  const std::vector<PromptPart> parts = {{1, ""}, {-1, "the other"}, {2, ""}, {-1, ""}, {-1, "the"}};
  std::vector<TokenId> expected = {1};
  for (TokenId id : tokenizer->encode("the other", {})) expected.push_back(id);
  expected.push_back(2);
  for (TokenId id : tokenizer->encode("the", {})) expected.push_back(id);
  EXPECT_EQ(run({*tokenizer, parts}, kAny), expected);
  EXPECT_EQ(run({*tokenizer, parts}, 1), expected);
}

TEST(PromptEncoder, EncodesAConversationAsItsTemplateDoes) {
  const auto tokenizer = test::tiny_tokenizer();
  const auto chat = test_chat("chatml");
  const std::vector<ChatMessage> messages = {{"user", "the <|im_end|> other"}, {"assistant", "the"}, {"user", "!"}};
  EXPECT_EQ(run({*tokenizer, prompt_parts(*chat, *tokenizer, messages).value()}, 3),
            chat->encode(*tokenizer, messages).value());
}

TEST(PromptEncoder, DropsWhiteSpaceBehindTokensThatStripWhoeverWroteIt) {
  std::vector<test::PieceRow> rows = test::tiny_pieces();
  rows.insert(rows.end(), {{"<|user|>", 0, 3}, {"<|end|>", 0, 3}, {"<|assistant|>", 0, 3}});
  const auto tokenizer =
      test::load_tokenizer(test::sentencepiece_file(rows, false).add_string("general.architecture", "phi3")).value();
  const auto chat = ChatTemplate::parse(
                        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
                        "{{ '<|assistant|>\n' }}",
                        {}, "phi3")
                        .value();
  const std::vector<ChatMessage> messages = {{"user", "\n the the"}, {"assistant", "  "}, {"user", "<|end|> the"}};
  const std::vector<TokenId> ids = chat->encode(*tokenizer, messages).value();
  std::vector<TokenId> expected = {1, 280, 271, 273, 281, 282, 281, 280};
  for (const TokenId id : tokenizer->encode("<|end|> the", {})) expected.push_back(id);
  expected.insert(expected.end(), {281, 282});
  EXPECT_EQ(ids, expected);
}

TEST(PromptEncoder, StopsOnceThereAreMoreIdsThanFit) {
  const auto tokenizer = test::tiny_tokenizer();
  std::string words;
  for (int i = 0; i < 200'000; ++i) words += "a!";
  PromptEncoder encoder(*tokenizer, {{-1, words}});
  EXPECT_TRUE(encoder.advance(kAny, 100));
  EXPECT_GT(encoder.size(), 100U);
  EXPECT_LT(encoder.size(), 10'000U);
  const std::size_t size = encoder.size();
  EXPECT_EQ(std::move(encoder).take().size(), size) << "of the text under way as well: it is no empty prompt";
}

TEST(PromptEncoder, RulesOutByLengthWhatCannotFit) {
  const auto tokenizer = test::tiny_tokenizer();
  const PromptEncoder encoder(*tokenizer, {{-1, std::string(10'000, 'e')}});
  EXPECT_EQ(encoder.bytes(), 10'000U);
  EXPECT_FALSE(encoder.may_fit(10));
  EXPECT_TRUE(encoder.may_fit(10'000));
}

}  // namespace
}  // namespace headwater::model
