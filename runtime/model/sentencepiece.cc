#include "model/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "model/gguf_value.h"
#include "model/sentencepiece_encoding.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

/// What "<0x0A>" stands for.
std::optional<unsigned> byte_of(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const std::size_t high = kDigits.find(text[3]);
  const std::size_t low = kDigits.find(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(high * 16 + low);
}

std::size_t count_marks(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = text.find(kSpaceMark); at != std::string_view::npos;
       at = text.find(kSpaceMark, at + kSpaceMark.size())) {
    ++count;
  }
  return count;
}

}  // namespace

std::string with_spaces(std::string_view text) {
  std::string spaced;
  spaced.reserve(text.size());
  for (std::size_t at = text.find(kSpaceMark); at != std::string_view::npos; at = text.find(kSpaceMark)) {
    spaced.append(text.substr(0, at)).append(1, ' ');
    text.remove_prefix(at + kSpaceMark.size());
  }
  return spaced.append(text);
}

Result<std::shared_ptr<const Tokenizer>> SentencePieceTokenizer::load(const GgufFile& file) {
  auto tokenizer = std::make_shared<SentencePieceTokenizer>();
  std::ranges::fill(tokenizer->byte_tokens_, TokenId{-1});
  if (auto scores = tokenizer->load_scores(file); !scores) return scores.error();
  // What these vocabularies have where a file does not say.
  auto loaded = tokenizer->load_vocabulary(file, {.bos = 1, .eos = 2, .add_bos = true});
  if (!loaded) return loaded.error();
  if (auto bytes = tokenizer->check_bytes(file); !bytes) return bytes.error();
  const auto unknown = tokenizer->special_id(file, "tokenizer.ggml.unknown_token_id", tokenizer->unknown_);
  if (!unknown) return unknown.error();
  tokenizer->unknown_ = *unknown;
  const auto space = file.get_bool_or("tokenizer.ggml.add_space_prefix", true);
  if (!space) return space.error();
  tokenizer->add_space_ = *space;
  tokenizer->longest_ = tokenizer->longest_token();
  tokenizer->scores_ = {};
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

Result<void> SentencePieceTokenizer::load_scores(const GgufFile& file) {
  constexpr const char* kKey = "tokenizer.ggml.scores";
  const auto* texts = file.find_strings("tokenizer.ggml.tokens");
  if (texts == nullptr || texts->empty()) return {};  // which load_vocabulary() says
  const std::size_t count = texts->size();
  std::size_t bytes = 0;
  for (const std::string& text : *texts) bytes += text.size();
  pieces_.reserve(count, bytes);
  const GgufValue* value = file.find(kKey);
  if (value == nullptr) return {};
  if (const auto* numbers = std::get_if<std::vector<double>>(value)) scores_.assign(numbers->begin(), numbers->end());
  if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(value)) {
    scores_.assign(numbers->begin(), numbers->end());
  }
  if (scores_.size() != count) {
    return file.invalid("metadata \"" + std::string(kKey) + "\" " + found_value(value) + ", expected " +
                        std::to_string(count) + " numbers, a score for each token");
  }
  const auto bad = std::ranges::find_if(scores_, [](float score) { return !std::isfinite(score); });
  if (bad == scores_.end()) return {};
  return file.invalid("metadata \"" + std::string(kKey) + "\": the score of token " +
                      std::to_string(bad - scores_.begin()) + " is " + std::to_string(*bad) +
                      ", expected a finite number");
}

Result<void> SentencePieceTokenizer::add_token(const GgufFile& file, TokenId id, const std::string& text,
                                               TokenKind kind) {
  if (kind == TokenKind::unknown && unknown_ < 0) unknown_ = id;
  if (is_control(id) || text.empty()) return {};
  const auto byte = kind == TokenKind::user_defined ? std::nullopt : byte_of(text);
  if (byte) {
    byte_tokens_[*byte] = id;
    set_bytes(id, std::string(1, static_cast<char>(*byte)));
    return {};
  }
  if (kind == TokenKind::byte) {
    return file.invalid(named(id) + " is said to be a byte, expected a text from <0x00> to <0xFF>");
  }
  // No text has a space where it is cut into pieces: those that write one as itself are found before that, or never.
  const bool writes_space = text.find(' ') != std::string::npos;
  set_bytes(id, with_spaces(text));
  const float score = scores_.empty() ? 0 : scores_[static_cast<std::size_t>(id)];
  if (!writes_space) pieces_.add(token_bytes(id), {id, score});
  return {};
}

Result<void> SentencePieceTokenizer::check_bytes(const GgufFile& file) {
  const auto known = std::ranges::count_if(byte_tokens_, [](TokenId id) { return id >= 0; });
  spells_bytes_ = known == 256;
  if (known == 0 || known == 256) return {};
  return file.invalid("the vocabulary has tokens for " + std::to_string(known) +
                      " of 256 bytes, expected all of <0x00> to <0xFF> or none");
}

std::unique_ptr<Encoding> SentencePieceTokenizer::begin_encoding(std::string_view text, EncodeOptions options) const {
  return std::make_unique<SentencePieceEncoding>(*this, text, options);
}

std::size_t SentencePieceTokenizer::max_bytes_for(std::size_t tokens) const {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  return !spells_bytes_ || tokens > kAny / longest_ ? kAny : tokens * longest_;
}

std::size_t SentencePieceTokenizer::spelled_bytes(std::string_view text) const {
  // A space mark is one byte of a token.
  return text.size() - count_marks(text) * (kSpaceMark.size() - 1) - strippable_bytes(text);
}

}  // namespace headwater::model
