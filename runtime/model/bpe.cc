#include "model/bpe.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "model/bpe_encoding.h"
#include "model/gguf_value.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

/// GPT-2 writes bytes as characters: printable ones as themselves, the others as U+0100 onwards.
/// Source: bytes_to_unicode in openai/gpt-2 encoder.py.
struct ByteAlphabet {
  std::array<std::int32_t, 512> byte_of{};  ///< code point → byte, -1: none

  ByteAlphabet() {
    byte_of.fill(-1);
    std::size_t next = 256;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      byte_of[printable ? byte : next++] = static_cast<std::int32_t>(byte);
    }
  }
};

/// The bytes that a token's text stands for. None where a character is not of the alphabet: no text has such a token.
std::optional<std::string> decode_token(std::string_view text) {
  static const ByteAlphabet alphabet;
  std::string bytes;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (!step.valid || step.length > 2) return std::nullopt;
    const auto unit = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(text[i])); };
    const std::size_t code = step.length == 1 ? unit(0) : (unit(0) & 0x1FU) << 6U | (unit(1) & 0x3FU);
    if (code >= alphabet.byte_of.size() || alphabet.byte_of[code] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet.byte_of[code]);
    text.remove_prefix(step.length);
  }
  return bytes;
}

/// What cuts the words. Error: a name that nobody knows, given by the operator or else in the file.
Result<std::shared_ptr<const Pretokenizer>> find_pretokenizer(const GgufFile& file, std::string_view given) {
  if (!given.empty()) return Pretokenizer::by_name(given);
  if (file.find("tokenizer.ggml.pre") == nullptr) return Pretokenizer::by_name("default");
  const auto name = file.get_string("tokenizer.ggml.pre");
  if (!name) return name.error();
  auto found = Pretokenizer::by_name(*name);
  if (found) return found;
  return file.invalid("metadata \"tokenizer.ggml.pre\": " + found.error().message +
                      "; where you know which one is alike, start with --pre-tokenizer NAME");
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> BytePairTokenizer::load(const GgufFile& file, std::string_view pre_tokenizer) {
  auto tokenizer = std::make_shared<BytePairTokenizer>();
  auto pretokenizer = find_pretokenizer(file, pre_tokenizer);
  if (!pretokenizer) return pretokenizer.error();
  tokenizer->pretokenizer_ = *pretokenizer;
  auto loaded = tokenizer->load_vocabulary(file, {.add_bos = tokenizer->pretokenizer_->adds_bos()});
  if (!loaded) return loaded.error();
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char symbol = static_cast<char>(byte);
    const auto found = tokenizer->by_bytes_.find({&symbol, 1});
    tokenizer->byte_tokens_[byte] = found == tokenizer->by_bytes_.end() ? -1 : found->second;
  }
  tokenizer->drops_bytes_ = std::ranges::any_of(tokenizer->byte_tokens_, [](TokenId id) { return id < 0; });
  tokenizer->longest_ = tokenizer->longest_token();
  if (auto merges = tokenizer->load_merges(file); !merges) return merges.error();
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

Result<void> BytePairTokenizer::add_token(const GgufFile&, TokenId id, const std::string& text, TokenKind kind) {
  if (text.empty()) return {};
  auto bytes = decode_token(text);
  if (kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::user_defined) {
    // Merges may lead to such a token, too, where bytes are written as themselves.
    if (!is_control(id) && bytes == text) by_bytes_.emplace(token_bytes(id), id);
  } else if (bytes) {
    set_bytes(id, std::move(*bytes));
    by_bytes_.emplace(token_bytes(id), id);
  }
  return {};
}

Result<void> BytePairTokenizer::load_merges(const GgufFile& file) {
  constexpr const char* kMerges = "tokenizer.ggml.merges";
  const auto* merges = file.find_strings(kMerges);
  if (merges == nullptr) {
    return file.invalid("metadata \"" + std::string(kMerges) + "\" " + found_value(file.find(kMerges)) +
                        ", expected an array of strings");
  }
  merges_.reserve(merges->size());
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string& text = (*merges)[rank];
    const std::size_t space = text.find(' ', 1);
    const auto problem = [&](const char* what) {
      return file.invalid("merge " + std::to_string(rank) + " \"" + printable(text) + "\" " + what);
    };
    if (space == std::string::npos) return problem("is no merge, expected two tokens with a space between them");
    const auto left = decode_token(std::string_view(text).substr(0, space));
    const auto right = decode_token(std::string_view(text).substr(space + 1));
    const auto find = [&](const std::string& bytes) {
      const auto found = by_bytes_.find(bytes);
      return found == by_bytes_.end() ? TokenId{-1} : found->second;
    };
    const TokenId left_id = left ? find(*left) : -1;
    const TokenId right_id = right ? find(*right) : -1;
    const TokenId merged_id = left && right ? find(*left + *right) : -1;
    if (left_id < 0 || right_id < 0 || merged_id < 0) {
      return problem("names a token that is not in the vocabulary, expected two tokens and what they make");
    }
    if (!merges_.add(left_id, right_id, {static_cast<std::uint32_t>(rank), merged_id})) {
      return problem("is in the list twice, expected each once");
    }
  }
  return {};
}

std::unique_ptr<Encoding> BytePairTokenizer::begin_encoding(std::string_view text, EncodeOptions options) const {
  return std::make_unique<BytePairEncoding>(*this, text, options);
}

std::size_t BytePairTokenizer::max_bytes_for(std::size_t tokens) const {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  return tokens > kAny / longest_ ? kAny : tokens * longest_;
}

std::size_t BytePairTokenizer::spelled_bytes(std::string_view text) const {
  const std::size_t stripped = strippable_bytes(text);
  if (!drops_bytes_) return text.size() - stripped;
  const auto spelled = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)] >= 0; };
  const auto n_spelled = static_cast<std::size_t>(std::ranges::count_if(text, spelled));
  return n_spelled - std::min(n_spelled, stripped);
}

}  // namespace headwater::model
