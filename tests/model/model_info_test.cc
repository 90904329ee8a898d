#include "model/model_info.h"

#include <gtest/gtest.h>

#include "tests/support/model_file.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

std::string describe_bytes(const std::string& bytes) {
  const test::TemporaryFile file(bytes);
  const auto opened = GgufFile::open(file.path());
  return opened ? describe_model(**opened) : opened.error().message;
}

void expect_line(const std::string& text, const std::string& line) {
  EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << "expected \"" << line << "\" in\n" << text;
}

TEST(ModelInfo, DescribesATinyModel) {
  const std::string text = describe_bytes(test::tiny_llama({.type = kernels::DType::q8_0}).bytes());
  EXPECT_EQ(text.substr(0, 4), "file");
  expect_line(text, "name            tiny");
  expect_line(text, "architecture    llama");
  expect_line(text, "context         512 tokens");
  expect_line(text, "layers          2");
  expect_line(text, "heads           4, 2 for keys and values, 16 wide");
  const std::uint64_t vocab = test::tiny_tokens().size();
  const std::string merges = with_commas(vocab - 256 - 3);  // all but the bytes and the control tokens
  expect_line(text,
              "tokenizer       gpt2, pre-tokenizer smollm, " + with_commas(vocab) + " tokens, " + merges + " merges");
  constexpr std::uint64_t kNorms = 5 * 64;
  const std::uint64_t matrices = vocab * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128);
  expect_line(text, "parameters      " + with_commas(matrices + kNorms));
  expect_line(text, "  F32           5 with 320 values, 1.2 KiB");
  expect_line(text,
              "  Q8_0          15 with " + with_commas(matrices) + " values, " + readable_bytes(matrices / 32 * 34));
  EXPECT_NE(text.find("\nchat template   {% for message in messages %}"), std::string::npos) << text;
}

TEST(ModelInfo, SaysWhatAFileDoesNotSay) {
  const std::string text = describe_bytes(test::GgufWriter().bytes());
  for (const char* label : {"name            ", "architecture    ", "context         ", "heads           ",
                            "tokenizer       ", "chat template   "}) {
    expect_line(text, std::string(label) + "not given");
  }
  expect_line(text, "tensors         0 with 0 values, 0 bytes");
}

TEST(ModelInfo, DescribesArchitecturesThatItDoesNotKnow) {
  const std::string text = describe_bytes(
      test::GgufWriter().add_string("general.architecture", "future").add_u32("future.block_count", 12).bytes());
  expect_line(text, "architecture    future");
  expect_line(text, "layers          12");
}

TEST(ModelInfo, KeepsAFilesControlCharactersOffTheTerminal) {
  const std::string text = describe_bytes(test::GgufWriter()
                                              .add_string("general.name", "a\x1b]0;title\x07 b\nc")
                                              .add_string("tokenizer.chat_template", "\x1b[2J{{ x }}\nsecond")
                                              .bytes());
  expect_line(text, "name            a?]0;title? b?c");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("second"), std::string::npos);
}

TEST(ModelInfo, DividesByNoZeroOfTheFile) {
  const std::string text = describe_bytes(test::GgufWriter()
                                              .add_string("general.architecture", "llama")
                                              .add_u32("llama.embedding_length", 64)
                                              .add_u32("llama.attention.head_count", 0)
                                              .bytes());
  expect_line(text, "heads           0");
}

TEST(ModelInfo, WritesNumbersForPeople) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(134515008), "134,515,008");
  EXPECT_EQ(with_commas(~std::uint64_t{0}), "18,446,744,073,709,551,615");
  EXPECT_EQ(readable_bytes(1023), "1023 bytes");
  EXPECT_EQ(readable_bytes(1536), "1.5 KiB");
  EXPECT_EQ(readable_bytes(98362432), "93.8 MiB");
  EXPECT_EQ(readable_bytes(~std::uint64_t{0}), "16777216.0 TiB");
}

TEST(ModelInfo, DescribesTheRealModel) {
  if (test::real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
  const auto file = GgufFile::open(test::real_model());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const std::string text = describe_model(**file);
  expect_line(text, "parameters      134,515,008");
  expect_line(text, "context         8,192 tokens");
  expect_line(text, "heads           9, 3 for keys and values, 64 wide");
  expect_line(text, "tokenizer       gpt2, pre-tokenizer smollm, 49,152 tokens, 48,900 merges");
}

}  // namespace
}  // namespace headwater::model
