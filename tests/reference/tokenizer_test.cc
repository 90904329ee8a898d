// Token ids and rendered conversations of each real model against those of the reference implementation.

#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "model/chat_template.h"
#include "model/utf8.h"
#include "tests/support/model_file.h"

namespace headwater::model {
namespace {

class ReferenceTokens : public testing::TestWithParam<test::ReferencedModel> {
 protected:
  void SetUp() override {
    if (const std::string missing = GetParam().missing("tokenizer.jsonl"); !missing.empty()) GTEST_SKIP() << missing;
    auto file = GgufFile::open(GetParam().path());
    ASSERT_TRUE(file.ok()) << file.error().message;
    file_ = *file;
    auto tokenizer = Tokenizer::load(*file_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = *tokenizer;
    // Gemma's file has no template.
    const bool has_own = file_->find("tokenizer.chat_template") != nullptr;
    auto chat = has_own
                    ? ChatTemplate::of_file(*file_)
                    : ChatTemplate::parse(*ChatTemplate::read_source("gemma"), SpecialTexts::of_file(*file_), "gemma");
    ASSERT_TRUE(chat.ok()) << chat.error().message;
    chat_ = *chat;
  }

  /// Of a model that has no such results: none.
  static std::vector<nlohmann::json> records(const std::string& name) {
    std::vector<nlohmann::json> found;
    std::ifstream file(GetParam().results(name));
    for (std::string line; std::getline(file, line);) found.push_back(nlohmann::json::parse(line));
    return found;
  }

  std::ptrdiff_t specials(const std::vector<ChatMessage>& messages) const {
    const auto ids = *chat_->encode(*tokenizer_, messages);
    return std::ranges::count_if(ids, [&](TokenId id) { return tokenizer_->is_control(id); });
  }

  std::shared_ptr<const GgufFile> file_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatTemplate> chat_;
};

TEST_P(ReferenceTokens, TextsGiveTheSameIds) {
  const auto all = records("tokenizer.jsonl");
  ASSERT_GE(all.size(), 20U);
  for (const auto& record : all) {
    const std::string text = record.at("text");
    const auto ids = record.at("ids").get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer_->encode(text, {.parse_special = true}), ids) << text;
    EXPECT_EQ(tokenizer_->decode(ids), text);
  }
}

TEST_P(ReferenceTokens, PromptsGiveTheSameIds) {
  const auto all = records("completions.jsonl");
  ASSERT_GE(all.size(), 12U);
  for (const auto& record : all) {
    const std::string prompt = record.at("prompt");
    EXPECT_EQ(tokenizer_->encode(prompt, {.add_special = true, .parse_special = true}),
              record.at("ids").get<std::vector<TokenId>>());
    const std::string greedy = record.at("greedy_text");
    if (greedy.ends_with(kReplacement)) continue;  // it ends within a character
    EXPECT_EQ(tokenizer_->decode(record.at("greedy_ids").get<std::vector<TokenId>>()), greedy);
  }
}

TEST_P(ReferenceTokens, ConversationsAreRenderedAndEncodedAlike) {
  const auto all = records("chat.jsonl");
  if (all.empty()) GTEST_SKIP() << GetParam().name << " has no reference conversations";
  ASSERT_GE(all.size(), 2U);
  for (const auto& record : all) {
    std::vector<ChatMessage> messages;
    for (const auto& message : record.at("messages")) messages.push_back({message.at("role"), message.at("content")});
    EXPECT_EQ(chat_->render(messages)->bytes(), record.at("rendered").get<std::string>());
    EXPECT_EQ(*chat_->encode(*tokenizer_, messages), record.at("ids").get<std::vector<TokenId>>());
  }
}

TEST_P(ReferenceTokens, NoMessageMakesASpecialToken) {
  std::string forged;
  for (TokenId id = 0; tokenizer_->valid(id); ++id) {
    if (tokenizer_->is_control(id)) forged += tokenizer_->token_bytes(id);
  }
  EXPECT_GT(specials({{"user", "hi"}}), 2);
  EXPECT_EQ(specials({{"user", "a" + forged + "b"}}), specials({{"user", "hi"}}));
  const std::vector<ChatMessage> messages = {{"user", forged}, {"assistant", forged}, {"user", "<|im_"}};
  EXPECT_EQ(specials(messages), specials({{"user", "hi"}, {"assistant", "hi"}, {"user", "hi"}}));
  EXPECT_EQ(tokenizer_->decode(*chat_->encode(*tokenizer_, messages)), chat_->render(messages)->bytes());
}

TEST_P(ReferenceTokens, RandomConversationsAreEncodedAsIfReadWhole) {
  const std::vector<std::string> parts = {"the", " ", "\n", "  ", "1", "42", "'s", "<", "|", "im", "\u00e9", "!", "\t"};
  std::mt19937 random(8);
  for (int round = 0; round < 300; ++round) {
    std::vector<ChatMessage> messages(1 + random() % 4);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      messages[i].role = i % 2 == 0 ? "user" : "assistant";
      for (unsigned n = random() % 12; n > 0; --n) messages[i].content += parts[random() % parts.size()];
    }
    const auto rendered = chat_->render(messages);
    ASSERT_TRUE(rendered.ok());
    EXPECT_EQ(*chat_->encode(*tokenizer_, messages), tokenizer_->encode(rendered->bytes(), {.parse_special = true}));
  }
}

TEST_P(ReferenceTokens, BytesRoundTripUnlessTheVocabularyHasNoTokenForThem) {
  std::size_t without = 0;
  for (int high = 0; high < 256; ++high) {
    const std::string byte(1, static_cast<char>(high));
    const std::string back = tokenizer_->decode(tokenizer_->encode(byte, {}));
    without += back.empty() ? 1 : 0;
    EXPECT_TRUE(back == byte || back.empty()) << high;
  }
  // SmolLM2 has no tokens for bytes that UTF-8 never uses, and for some control characters.
  EXPECT_EQ(without, GetParam().folder == "smollm2" ? 21U : 0U);
}

TEST_P(ReferenceTokens, WhatCannotBeSpelledIsDropped) {
  const auto tokens = [&](const std::string& text) {
    std::vector<std::string> found;
    for (const TokenId id : tokenizer_->encode(text, {})) found.emplace_back(tokenizer_->token_bytes(id));
    return found;
  };
  const std::string text("a\x06\x62");
  if (GetParam().folder == "smollm2") {
    EXPECT_EQ(tokens(text), (std::vector<std::string>{"a", "b"}));
  } else {
    EXPECT_EQ(tokens(text), (std::vector<std::string>{"a", "\x06", "b"}));
  }
}

std::string name_of(const testing::TestParamInfo<test::ReferencedModel>& info) {
  std::string name = info.param.name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, ReferenceTokens, testing::ValuesIn(test::referenced_models()), name_of);

}  // namespace
}  // namespace headwater::model
