#include "model/served_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using test::GgufWriter;
using testing::HasSubstr;

Result<ServedModel> read(const GgufWriter& writer, const ModelChoices& choices = {}) {
  const test::TemporaryFile path(writer.bytes());
  const auto file = GgufFile::open(path.path());
  if (!file) return file.error();
  return read_served_model(**file, choices);
}

std::string refusal(const GgufWriter& writer, const ModelChoices& choices = {}) {
  const auto model = read(writer, choices);
  return model ? "" : model.error().message;
}

TEST(ServedModel, HasShapeTokenizerAndTemplate) {
  const auto model = read(test::tiny_llama({}));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->shape.n_layers, 2U);
  EXPECT_EQ(model->tokenizer->vocab_size(), model->shape.vocab_size);
  ASSERT_NE(model->chat_template, nullptr);
  EXPECT_EQ(model->no_chat, "");
}

TEST(ServedModel, TakesThePreTokenizerAndTheTemplateThatItIsTold) {
  EXPECT_THAT(refusal(test::tiny_llama({}), {.pre_tokenizer = "martian"}),
              HasSubstr("unknown pre-tokenizer \"martian\""));
  EXPECT_EQ(refusal(test::tiny_llama({}), {.pre_tokenizer = "qwen2"}), "");
  EXPECT_THAT(refusal(test::tiny_llama({}), {.chat_template = "chatlm"}), HasSubstr("unknown chat template"));
  EXPECT_EQ(read(test::tiny_llama({}), {.chat_template = "llama3"})->chat_template->name(), "llama3");
}

TEST(ServedModel, IsServedWithoutChatWhereItsOwnTemplateCannotBeRead) {
  const auto model = read(test::tiny_llama({.chat_template = "{% for %}"}));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_THAT(model->no_chat, HasSubstr("the chat template of this model cannot be read: line 1"));
  EXPECT_EQ(model->chat_template->name(), "") << "it refuses";
}

TEST(ServedModel, IsRefusedForWhatItsHeaderTells) {
  GgufWriter experts = test::tiny_llama({});
  experts.add_u32("llama.expert_count", 4);
  EXPECT_THAT(refusal(experts), HasSubstr("mixture of experts is not supported"));
  EXPECT_THAT(refusal(GgufWriter().add_string("general.architecture", "future")),
              HasSubstr("unknown architecture \"future\""));
  GgufWriter biased = test::tiny_llama({});
  biased.add_tensor("output.bias", {1}, kernels::DType::f32, std::vector<float>(1));
  EXPECT_THAT(refusal(biased), HasSubstr("tensor \"output.bias\" is there"));
}

TEST(ServedModel, SaysThatAVocabularyHasAnotherSizeThanTheEmbedding) {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama")
      .add_u32("llama.block_count", 1)
      .add_u32("llama.context_length", 64)
      .add_u32("llama.embedding_length", 32)
      .add_u32("llama.feed_forward_length", 32)
      .add_u32("llama.attention.head_count", 2);
  test::add_tiny_tokenizer(writer);
  const std::vector<float> values(160);
  writer.add_tensor("token_embd.weight", {32, 5}, kernels::DType::f32, values);
  EXPECT_THAT(refusal(writer), HasSubstr("tokens and the embedding 5 rows, expected as many"));
}

}  // namespace
}  // namespace headwater::model
