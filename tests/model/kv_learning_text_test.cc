#include "model/kv_learning_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/tokenizer.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

TEST(KvLearningText, IsMadeOfIdsOfTheVocabularyForAnyModel) {
  const test::TemporaryFile path(test::tiny_llama({}).bytes());
  const auto file = GgufFile::open(path.path()).value();
  for (const std::uint32_t vocab_size : {1U, 7U, 263U, 5000U}) {
    for (const std::uint32_t n : {1U, 64U, 100U, 256U}) {
      const std::vector<TokenId> tokens = learning_tokens(file.get(), vocab_size, n);
      ASSERT_EQ(tokens.size(), n);
      for (const TokenId id : tokens) EXPECT_TRUE(id >= 0 && id < TokenId(vocab_size)) << id;
      EXPECT_EQ(learning_tokens(file.get(), vocab_size, n), tokens);
    }
  }
}

TEST(KvLearningText, IsTextOfManyKindsInTheFilesOwnTokens) {
  const test::TemporaryFile path(test::tiny_llama({}).bytes());
  const auto file = GgufFile::open(path.path()).value();
  const auto tokenizer = Tokenizer::load(*file).value();
  EXPECT_NE(learning_tokens(nullptr, 1000, 256), learning_tokens(file.get(), 1000, 256));
  // The tiny vocabulary has a token for each byte. Said to be larger, it counts as a language's.
  const std::vector<TokenId> tokens = learning_tokens(file.get(), 1000, 256);
  const std::string text = tokenizer->decode(tokens);
  EXPECT_NE(text.find("lighthouse"), std::string::npos) << text;
  const std::set<TokenId> kinds(tokens.begin(), tokens.end());
  EXPECT_GT(kinds.size(), 40U);
}

}  // namespace
}  // namespace headwater::model
