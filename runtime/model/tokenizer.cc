#include "model/tokenizer.h"

#include <limits>
#include <utility>

#include "model/bpe.h"
#include "model/utf8.h"

namespace headwater::model {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const GgufFile& file) {
  const auto kind = file.get_string("tokenizer.ggml.model");
  if (!kind) return kind.error();
  if (*kind == "gpt2") return BytePairTokenizer::load(file);
  return file.invalid("unknown tokenizer \"" + printable(*kind) + "\" (known: gpt2)");
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
  return text;
}

}  // namespace headwater::model
