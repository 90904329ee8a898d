#pragma once
// A SentencePiece vocabulary of some 280 tokens.

#include <memory>
#include <string>
#include <vector>

#include "model/gguf.h"
#include "model/tokenizer.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {

/// A token as a file lists it.
struct PieceRow {
  std::string text;
  float score = 0;
  std::int32_t kind = 1;
};

/// Unknown, BOS and EOS; tokens of all bytes from id 3 on; a few pieces; two tokens of the user's.
inline std::vector<PieceRow> tiny_pieces() {
  std::vector<PieceRow> rows = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}};
  for (unsigned byte = 0; byte < 256; ++byte) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    rows.push_back({std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", 0, 6});
  }
  for (const char* letter : {"\u2581", "t", "h", "e", "o", "r", "<", "s", ">", "\u00e9"}) rows.push_back({letter, -20});
  rows.insert(rows.end(), {{"th", -1},
                           {"he", -2},
                           {"the", -3},
                           {"\u2581t", -1.5F},
                           {"\u2581the", -4},
                           {"er", -2},
                           {"re", -2},
                           {"\u2581\u2581", -5},
                           {"<s", -6},
                           {"[tool]", -30, 4},
                           {"  ", -30, 4}});
  return rows;
}

inline GgufWriter sentencepiece_file(const std::vector<PieceRow>& rows, bool space = true) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> kinds;
  for (const PieceRow& row : rows) {
    texts.push_back(row.text);
    scores.push_back(row.score);
    kinds.push_back(row.kind);
  }
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "llama")
      .add_strings("tokenizer.ggml.tokens", texts)
      .add_f32s("tokenizer.ggml.scores", scores)
      .add_i32s("tokenizer.ggml.token_type", kinds)
      .add_bool("tokenizer.ggml.add_space_prefix", space);
  return writer;
}

inline Result<std::shared_ptr<const model::Tokenizer>> load_tokenizer(const GgufWriter& writer,
                                                                      std::string_view pre_tokenizer = "") {
  const TemporaryFile bytes(writer.bytes());
  const auto file = model::GgufFile::open(bytes.path());
  if (!file) return file.error();
  return model::Tokenizer::load(**file, pre_tokenizer);
}

inline std::shared_ptr<const model::Tokenizer> tiny_sentencepiece(bool space = true) {
  return load_tokenizer(sentencepiece_file(tiny_pieces(), space)).value();
}

}  // namespace headwater::test
