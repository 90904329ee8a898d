#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/model/tiny_tokenizer.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using test::GgufWriter;

Result<std::shared_ptr<const Tokenizer>> load(const GgufWriter& writer, std::string_view pre_tokenizer = "") {
  const test::TemporaryFile bytes(writer.bytes());
  const auto file = GgufFile::open(bytes.path());
  if (!file) return file.error();
  return Tokenizer::load(**file, pre_tokenizer);
}

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  std::vector<std::string> found;
  for (TokenId id : tokenizer.encode(text, options)) found.emplace_back(tokenizer.token_bytes(id));
  return found;
}

TEST(Tokenizer, MergesTheBestPairsFirst) {
  const auto tokenizer = test::tiny_tokenizer();
  EXPECT_EQ(pieces(*tokenizer, "the other"), (std::vector<std::string>{"the", " ", "o", "the", "r"}));
  EXPECT_EQ(pieces(*tokenizer, " the"), (std::vector<std::string>{" ", "the"}));  // "t h" comes before " t"
  EXPECT_TRUE(tokenizer->encode("", {}).empty());
}

TEST(Tokenizer, RoundTripsEveryByteSequence) {
  const auto tokenizer = test::tiny_tokenizer();
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (unsigned n = random() % 60; n > 0; --n) {
      text += random() % 3 == 0 ? "the" : std::string(1, static_cast<char>(random() % 256));
    }
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, {})), text);
  }
}

TEST(Tokenizer, RoundTripsEveryCharacter) {
  const auto tokenizer = test::tiny_tokenizer();
  std::mt19937 random(6);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (unsigned n = random() % 40; n > 0; --n) {
      const unsigned code = 0x800 + random() % 0x10F800;
      if (code < 0x10000) {
        if (code >= 0xD800 && code < 0xE000) continue;
        text += static_cast<char>(0xE0 | code >> 12);
      } else {
        text += static_cast<char>(0xF0 | code >> 18);
        text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      }
      text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, {.parse_special = true})), text);
  }
}

/// A vocabulary of letters, with more tokens of certain kinds behind them.
std::shared_ptr<const Tokenizer> with_tokens(const std::vector<std::pair<std::string, std::int32_t>>& more) {
  std::vector<std::string> tokens = {"<", ">", "|", "_", "a", "b", "c", "e", "d", "i", "m", "n"};
  std::vector<std::int32_t> kinds(tokens.size(), 1);
  for (const auto& [text, kind] : more) {
    tokens.push_back(text);
    kinds.push_back(kind);
  }
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "gpt2")
      .add_strings("tokenizer.ggml.tokens", tokens)
      .add_i32s("tokenizer.ggml.token_type", kinds)
      .add_strings("tokenizer.ggml.merges", {});
  return std::move(load(writer)).value();
}

TEST(Tokenizer, FindsUserDefinedTokensInAnyText) {
  const auto tokenizer = with_tokens({{"abc", 4}, {"ab", 4}});
  EXPECT_EQ(pieces(*tokenizer, "abcab"), (std::vector<std::string>{"abc", "ab"}));
  EXPECT_FALSE(tokenizer->is_control(tokenizer->find_special("abc")));
}

TEST(Tokenizer, NeverFindsMarksOfTurnsInPlainTextWhateverTheFileCallsThem) {
  const auto tokenizer = with_tokens({{"<|im_end|>", 4}});
  const TokenId end = tokenizer->find_special("<|im_end|>");
  EXPECT_EQ(tokenizer->encode("<|im_end|>", {}).size(), 10U);
  EXPECT_EQ(tokenizer->encode("<|im_end|>", {.parse_special = true}), std::vector<TokenId>{end});
  EXPECT_TRUE(tokenizer->is_control(end));
  EXPECT_TRUE(tokenizer->is_end(end));
}

TEST(Tokenizer, GivesATokenThatIsNotWrittenInTheByteAlphabetItsOwnText) {
  const auto tokenizer = with_tokens({{"\u6f22", 1}});
  EXPECT_EQ(tokenizer->token_bytes(12), "\u6f22");
}

TEST(Tokenizer, FindsSpecialTokensOnlyWhereItMay) {
  const auto tokenizer = test::tiny_tokenizer();
  const TokenId end = tokenizer->find_special("<|im_end|>");
  ASSERT_GE(end, 0);
  EXPECT_TRUE(tokenizer->is_control(end));
  EXPECT_TRUE(tokenizer->is_end(end));
  EXPECT_TRUE(tokenizer->is_end(tokenizer->find_special("<|endoftext|>")));
  EXPECT_FALSE(tokenizer->is_end(tokenizer->find_special("<|im_start|>")));
  EXPECT_EQ(tokenizer->encode("<|im_end|>", {.parse_special = true}), std::vector<TokenId>{end});
  EXPECT_EQ(tokenizer->encode("<|im_end|>", {}).size(), 10U);
  EXPECT_EQ(tokenizer->encode("<|im_end|><|im_en", {.parse_special = true}).size(), 8U);
}

TEST(Tokenizer, PutsBosInFrontOnlyWhereTheFileAsksForIt) {
  GgufWriter writer;
  test::add_tiny_tokenizer(writer);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);
  const auto tokenizer = std::move(load(writer)).value();
  EXPECT_EQ(tokenizer->encode("a", {.add_special = true}).front(), tokenizer->bos());
  EXPECT_EQ(tokenizer->encode("a", {.add_special = false}).size(), 1U);
  EXPECT_EQ(test::tiny_tokenizer()->encode("a", {.add_special = true}).size(), 1U);
}

TEST(Tokenizer, TakesLongTextsInReasonableTime) {
  const auto tokenizer = test::tiny_tokenizer();
  const std::string text(1 << 20, 'e');
  EXPECT_EQ(tokenizer->encode(text, {}).size(), text.size());
  std::string merging;
  while (merging.size() < 1 << 20) merging += "the";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(merging, {})), merging);
}

TEST(Tokenizer, KnowsThePreTokenizersOfItsFamilies) {
  const auto with = [](const char* name) {
    GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "gpt2").add_string("tokenizer.ggml.pre", name);
    writer.add_strings("tokenizer.ggml.tokens", test::tiny_tokens()).add_strings("tokenizer.ggml.merges", {});
    return load(writer);
  };
  for (const char* known : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) EXPECT_TRUE(with(known).ok()) << known;
  const auto unknown = with("martian");
  ASSERT_FALSE(unknown.ok());
  const std::string& message = unknown.error().message;
  EXPECT_NE(message.find("metadata \"tokenizer.ggml.pre\": unknown pre-tokenizer \"martian\", expected one of"),
            std::string::npos);
  EXPECT_NE(message.find("--pre-tokenizer NAME"), std::string::npos) << "which is the way out";
}

TEST(Tokenizer, TakesThePreTokenizerThatItIsToldInPlaceOfTheFiles) {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "gpt2").add_string("tokenizer.ggml.pre", "martian");
  writer.add_strings("tokenizer.ggml.tokens", {"1", "2", "12"}).add_strings("tokenizer.ggml.merges", {"1 2"});
  EXPECT_EQ(load(writer, "gpt-2").value()->encode("12", {}), std::vector<TokenId>{2});
  EXPECT_EQ(load(writer, "qwen2").value()->encode("12", {}), (std::vector<TokenId>{0, 1}));
  EXPECT_FALSE(load(writer, "venusian").ok());
}

TEST(Tokenizer, DropsBytesThatItsVocabularyCannotSpell) {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "gpt2").add_string("tokenizer.ggml.pre", "smollm");
  writer.add_strings("tokenizer.ggml.tokens", {"a", "b", "ab", "!", "!!"});
  writer.add_strings("tokenizer.ggml.merges", {"a b", "! !"});
  const auto tokenizer = load(writer).value();
  EXPECT_EQ(pieces(*tokenizer, "a\x06\x62"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(pieces(*tokenizer, "!\x06!"), (std::vector<std::string>{"!", "!"})) << "what it stood between stays apart";
  EXPECT_EQ(pieces(*tokenizer, "!!\xFF!\x06"), (std::vector<std::string>{"!!", "!"}));
  std::string with_gaps;
  std::string without;
  for (int i = 0; i < 100; ++i) {
    with_gaps += "!!\x06";
    without += "!! ";
  }
  EXPECT_EQ(tokenizer->encode(with_gaps, {}), tokenizer->encode(without, {})) << "in a long word as well";
  EXPECT_EQ(tokenizer->encode(with_gaps, {}).size(), 100U);
  EXPECT_TRUE(tokenizer->encode("\x06\xFF", {}).empty());
  EXPECT_EQ(tokenizer->spelled_bytes("a\x06!"), 2U);
}

TEST(Tokenizer, PutsEosBehindOnlyWhereTheFileAsksForIt) {
  GgufWriter writer;
  test::add_tiny_tokenizer(writer);
  writer.add_bool("tokenizer.ggml.add_eos_token", true);
  const auto tokenizer = std::move(load(writer)).value();
  EXPECT_TRUE(tokenizer->is_end(tokenizer->encode("a", {.add_special = true}).back()));
  EXPECT_EQ(tokenizer->encode("a", {}).size(), 1U);
}

TEST(Tokenizer, RefusesAVocabularyThatDoesNotFitTogether) {
  const auto message = [](const GgufWriter& writer) {
    const auto loaded = load(writer);
    return loaded.ok() ? std::string("fine") : loaded.error().message;
  };
  const auto base = [] {
    GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "gpt2");
    return writer;
  };
  EXPECT_NE(message(GgufWriter()).find("tokenizer.ggml.model"), std::string::npos);
  EXPECT_NE(
      message(GgufWriter().add_string("tokenizer.ggml.model", "magic")).find("expected a known tokenizer: gpt2, llama"),
      std::string::npos);
  EXPECT_NE(message(base()).find("tokenizer.ggml.tokens"), std::string::npos);
  EXPECT_NE(message(base().add_strings("tokenizer.ggml.tokens", {"a"})).find("merges"), std::string::npos);
  EXPECT_NE(message(base().add_strings("tokenizer.ggml.tokens", {"a"}).add_strings("tokenizer.ggml.merges", {"a b"}))
                .find("not in the vocabulary"),
            std::string::npos);
  EXPECT_NE(message(base().add_strings("tokenizer.ggml.tokens", {"a"}).add_strings("tokenizer.ggml.merges", {"ab"}))
                .find("space between"),
            std::string::npos);
  EXPECT_NE(message(base().add_strings("tokenizer.ggml.tokens", {"a"}).add_i32s("tokenizer.ggml.token_type", {1, 1}))
                .find("token_type"),
            std::string::npos);
  EXPECT_NE(message(base()
                        .add_strings("tokenizer.ggml.tokens", {"a"})
                        .add_strings("tokenizer.ggml.merges", {})
                        .add_u32("tokenizer.ggml.eos_token_id", 7))
                .find("eos_token_id"),
            std::string::npos);
}

TEST(Tokenizer, RefusesDuplicatesWrongTypesAndKinds) {
  const auto message = [](const std::vector<std::string>& tokens, const std::vector<std::string>& merges,
                          const auto& change) {
    GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "gpt2");
    writer.add_strings("tokenizer.ggml.tokens", tokens).add_strings("tokenizer.ggml.merges", merges);
    change(writer);
    const auto loaded = load(writer);
    return loaded.ok() ? std::string("fine") : loaded.error().message;
  };
  const auto as_is = [](GgufWriter&) {};
  EXPECT_EQ(message({"a", "b", "ab", "", ""}, {"a b"}, as_is), "fine");
  EXPECT_NE(message({"a", "b", "a"}, {}, as_is).find("token 2 \"a\" is in the vocabulary twice"), std::string::npos);
  EXPECT_NE(message({"a", "b", "ab"}, {"a b", "a b"}, as_is).find("merge 1 \"a b\" is in the list twice"),
            std::string::npos);
  EXPECT_NE(message({"a\x1b", "a\x1b"}, {}, as_is).find("\"a?\""), std::string::npos);
  const auto kind_of = [&](std::int32_t kind) {
    return message({"a"}, {}, [&](GgufWriter& writer) { writer.add_i32s("tokenizer.ggml.token_type", {kind}); });
  };
  EXPECT_EQ(kind_of(6), "fine");
  EXPECT_NE(kind_of(7).find("token 0 is of kind 7"), std::string::npos);
  EXPECT_NE(kind_of(-1).find("token 0 is of kind -1"), std::string::npos);
  const auto with = [&](const auto& change) { return message({"a"}, {}, change); };
  EXPECT_NE(with([](auto& w) { w.add_string("tokenizer.ggml.token_type", "x"); }).find("token_type"),
            std::string::npos);
  EXPECT_NE(with([](auto& w) { w.add_string("tokenizer.ggml.bos_token_id", "x"); }).find("bos_token_id"),
            std::string::npos);
  EXPECT_NE(with([](auto& w) { w.add_u32("tokenizer.ggml.add_bos_token", 1); }).find("add_bos_token"),
            std::string::npos);
  EXPECT_NE(with([](auto& w) { w.add_u32("tokenizer.ggml.pre", 1); }).find("tokenizer.ggml.pre"), std::string::npos);

  GgufWriter numbers;
  numbers.add_string("tokenizer.ggml.model", "gpt2").add_i32s("tokenizer.ggml.tokens", {1, 2});
  EXPECT_NE(load(numbers).error().message.find("tokenizer.ggml.tokens"), std::string::npos);
}

}  // namespace
}  // namespace headwater::model
