#include "model/tokenizer.h"

#include <limits>
#include <utility>

#include "model/bpe.h"
#include "model/sentencepiece.h"
#include "model/utf8.h"

namespace headwater::model {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const GgufFile& file, std::string_view pre_tokenizer) {
  const auto kind = file.get_string("tokenizer.ggml.model");
  if (!kind) return kind.error();
  if (*kind == "gpt2") return BytePairTokenizer::load(file, pre_tokenizer);
  if (*kind != "llama") {
    return file.invalid("metadata \"tokenizer.ggml.model\" is \"" + printable(*kind) +
                        "\", expected a known tokenizer: gpt2, llama");
  }
  if (!pre_tokenizer.empty()) {
    return Error{ErrorCode::invalid_topology,
                 file.path() + ": the pre-tokenizer \"" + printable(pre_tokenizer) +
                     "\" was asked for, and a SentencePiece vocabulary has none; leave --pre-tokenizer out",
                 "pre_tokenizer"};
  }
  return SentencePieceTokenizer::load(file);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const std::unique_ptr<Encoding> encoding = begin_encoding(text, options);
  while (!encoding->advance(std::numeric_limits<std::size_t>::max())) {
  }
  return std::move(*encoding).take();
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (TokenId id : ids) text += token_bytes(id);
  if (adds_space() && !ids.empty() && token_bytes(ids.front()).starts_with(' ')) text.erase(0, 1);
  return text;
}

}  // namespace headwater::model
