#include "model/bpe.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_set>
#include <utility>

#include "model/bpe_encoding.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

/// Token kinds as GGUF numbers them.
constexpr std::int64_t kOrdinary = 1;
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;

constexpr std::int64_t kLastKind = 6;

/// Texts of control tokens that end an answer, whatever the file names as its EOS.
constexpr std::string_view kEndTexts[] = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>",    "<|end_of_text|>",
                                          "<|eom_id|>", "</s>",          "<end_of_turn>", "<|end|>"};

/// Marks of chat templates that do not end an answer. Some files list them, or the ends, as user-defined tokens, which
/// are found in any text: a client could then forge a turn. They are control tokens in every file.
constexpr std::string_view kTurnTexts[] = {
    "<|im_start|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "[INST]", "[/INST]", "<s>"};

bool is_mark(std::string_view text) {
  return std::ranges::find(kEndTexts, text) != std::end(kEndTexts) ||
         std::ranges::find(kTurnTexts, text) != std::end(kTurnTexts);
}

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

}  // namespace

Result<std::shared_ptr<const Tokenizer>> BytePairTokenizer::load(const GgufFile& file) {
  auto tokenizer = std::make_shared<BytePairTokenizer>();
  std::string name = "gpt-2";
  if (file.find("tokenizer.ggml.pre") != nullptr) {
    auto named = file.get_string("tokenizer.ggml.pre");
    if (!named) return named.error();
    name = *named;
  }
  auto pretokenizer = Pretokenizer::by_name(name);
  if (!pretokenizer) return file.invalid(pretokenizer.error().message);
  tokenizer->pretokenizer_ = *pretokenizer;
  for (auto step :
       {&BytePairTokenizer::load_tokens, &BytePairTokenizer::load_merges, &BytePairTokenizer::load_special}) {
    if (auto loaded = (*tokenizer.*step)(file); !loaded) return loaded.error();
  }
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

Result<void> BytePairTokenizer::load_tokens(const GgufFile& file) {
  const auto* texts = file.find_strings("tokenizer.ggml.tokens");
  if (texts == nullptr || texts->empty()) {
    return file.invalid("metadata \"tokenizer.ggml.tokens\" is missing or empty, expected the vocabulary");
  }
  const GgufValue* kinds_value = file.find("tokenizer.ggml.token_type");
  const auto* kinds = kinds_value == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(kinds_value);
  if (kinds_value != nullptr && (kinds == nullptr || kinds->size() != texts->size())) {
    return file.invalid("metadata \"tokenizer.ggml.token_type\" does not give one kind for each token");
  }
  std::unordered_set<std::string_view> known;
  tokens_.resize(texts->size());
  for (std::size_t i = 0; i < texts->size(); ++i) {
    const std::string& text = (*texts)[i];
    const std::int64_t kind = kinds == nullptr ? kOrdinary : (*kinds)[i];
    if (kind < 0 || kind > kLastKind) {
      return file.invalid("token " + std::to_string(i) + " is of kind " + std::to_string(kind) + ", expected 0 to 6");
    }
    if (!text.empty() && !known.insert(text).second) {
      return file.invalid("token " + std::to_string(i) + " \"" + printable(text) + "\" is in the vocabulary twice");
    }
    add_token(static_cast<TokenId>(i), text, kind);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char symbol = static_cast<char>(byte);
    const auto found = by_bytes_.find({&symbol, 1});
    byte_tokens_[byte] = found == by_bytes_.end() ? -1 : found->second;
  }
  const auto has_token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)] >= 0; };
  drops_bytes_ = std::ranges::any_of(byte_tokens_, [](TokenId id) { return id < 0; }) &&
                 std::ranges::none_of(kReplacement, has_token);
  for (const Token& token : tokens_) longest_ = std::max(longest_, token.bytes.size());
  return {};
}

void BytePairTokenizer::add_token(TokenId id, const std::string& text, std::int64_t kind) {
  Token& token = tokens_[static_cast<std::size_t>(id)];
  token.bytes = text;
  if (kind == kControl || kind == kUserDefined) {
    token.control = kind == kControl || is_mark(text);
    token.end = token.control && std::ranges::find(kEndTexts, text) != std::end(kEndTexts);
    if (!text.empty()) specials_.add(text, id, token.control);
    // Merges may lead to such a token, too, where bytes are written as themselves.
    if (!token.control && decode_token(text) == text) by_bytes_.emplace(token.bytes, id);
  } else if (auto bytes = decode_token(text)) {
    token.bytes = std::move(*bytes);
    by_bytes_.emplace(token.bytes, id);
  }
}

Result<void> BytePairTokenizer::load_merges(const GgufFile& file) {
  const auto* merges = file.find_strings("tokenizer.ggml.merges");
  if (merges == nullptr)
    return file.invalid("metadata \"tokenizer.ggml.merges\" is missing, expected a list of strings");
  merges_.reserve(merges->size());
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string& text = (*merges)[rank];
    const std::size_t space = text.find(' ', 1);
    const auto problem = [&](const char* what) {
      return file.invalid("merge " + std::to_string(rank) + " \"" + printable(text) + "\" " + what);
    };
    if (space == std::string::npos) return problem("is not two tokens with a space between them");
    const auto left = decode_token(std::string_view(text).substr(0, space));
    const auto right = decode_token(std::string_view(text).substr(space + 1));
    const auto find = [&](const std::string& bytes) {
      const auto found = by_bytes_.find(bytes);
      return found == by_bytes_.end() ? TokenId{-1} : found->second;
    };
    const TokenId left_id = left ? find(*left) : -1;
    const TokenId right_id = right ? find(*right) : -1;
    const TokenId merged_id = left && right ? find(*left + *right) : -1;
    if (left_id < 0 || right_id < 0 || merged_id < 0) return problem("names a token that is not in the vocabulary");
    if (!merges_.add(left_id, right_id, {static_cast<std::uint32_t>(rank), merged_id})) {
      return problem("is in the list twice");
    }
  }
  return {};
}

Result<TokenId> BytePairTokenizer::optional_id(const GgufFile& file, const char* key) const {
  if (file.find(key) == nullptr) return TokenId{-1};
  const auto id = file.get_uint(key);
  if (!id) return id.error();
  if (*id >= tokens_.size()) {
    return file.invalid(std::string("metadata \"") + key + "\" is " + std::to_string(*id) + ", expected an id below " +
                        std::to_string(tokens_.size()));
  }
  return static_cast<TokenId>(*id);
}

Result<void> BytePairTokenizer::load_special(const GgufFile& file) {
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const auto id = optional_id(file, key);
    if (!id) return id.error();
    if (*id >= 0) tokens_[static_cast<std::size_t>(*id)].end = true;
  }
  const auto bos = optional_id(file, "tokenizer.ggml.bos_token_id");
  if (!bos) return bos.error();
  bos_ = *bos;
  const auto add_bos = file.get_bool_or("tokenizer.ggml.add_bos_token", pretokenizer_->adds_bos());
  if (!add_bos) return add_bos.error();
  add_bos_ = *add_bos && bos_ >= 0;
  return {};
}

std::unique_ptr<Encoding> BytePairTokenizer::begin_encoding(std::string_view text, EncodeOptions options) const {
  return std::make_unique<BytePairEncoding>(*this, text, options);
}

std::size_t BytePairTokenizer::max_bytes_for(std::size_t tokens) const {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  return drops_bytes_ || tokens > kAny / longest_ ? kAny : tokens * longest_;
}

}  // namespace headwater::model
