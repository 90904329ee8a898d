#include "model/bpe.h"

#include <algorithm>
#include <array>
#include <queue>

#include "model/utf8.h"

namespace headwater::model {
namespace {

/// Token kinds as GGUF numbers them.
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;

/// Texts of control tokens that end an answer, whatever the file names as its EOS.
constexpr std::string_view kEndTexts[] = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>",    "<|end_of_text|>",
                                          "<|eom_id|>", "</s>",          "<end_of_turn>", "<|end|>"};

Error bad(const GgufFile& file, const std::string& message) {
  return {"invalid_model", file.path() + ": " + message, ""};
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

/// The bytes that a token's text stands for; text with a character outside of the alphabet stands for itself.
std::string decode_token(std::string_view text) {
  static const ByteAlphabet alphabet;
  std::string bytes;
  for (std::string_view rest = text; !rest.empty();) {
    const auto lead = static_cast<unsigned char>(rest[0]);
    std::uint32_t code = lead;
    std::size_t length = 1;
    if (lead >= 0xC0 && lead < 0xE0 && rest.size() > 1) {
      code = (lead & 0x1FU) << 6U | (static_cast<unsigned char>(rest[1]) & 0x3FU);
      length = 2;
    } else if (lead >= 0x80) {
      return std::string(text);
    }
    if (code >= alphabet.byte_of.size() || alphabet.byte_of[code] < 0) return std::string(text);
    bytes += static_cast<char>(alphabet.byte_of[code]);
    rest.remove_prefix(length);
  }
  return bytes;
}

std::uint64_t pair_key(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U | static_cast<std::uint32_t>(right);
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
  if (!pretokenizer) return bad(file, pretokenizer.error().message);
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
    return bad(file, "metadata \"tokenizer.ggml.tokens\" is missing or empty, expected the vocabulary");
  }
  const GgufValue* kinds_value = file.find("tokenizer.ggml.token_type");
  const auto* kinds = kinds_value == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(kinds_value);
  if (kinds_value != nullptr && (kinds == nullptr || kinds->size() != texts->size())) {
    return bad(file, "metadata \"tokenizer.ggml.token_type\" does not give one kind for each token");
  }
  tokens_.resize(texts->size());
  for (std::size_t i = 0; i < texts->size(); ++i) {
    const std::int64_t kind = kinds == nullptr ? 1 : (*kinds)[i];
    const bool special = kind == kControl || kind == kUserDefined;
    tokens_[i].control = kind == kControl;
    tokens_[i].bytes = special ? (*texts)[i] : decode_token((*texts)[i]);
    if (special && !(*texts)[i].empty()) {
      specials_.push_back({(*texts)[i], static_cast<TokenId>(i), kind == kControl});
    }
  }
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const bool ordinary = kinds == nullptr || ((*kinds)[i] != kControl && (*kinds)[i] != kUserDefined);
    if (ordinary) by_bytes_.emplace(tokens_[i].bytes, static_cast<TokenId>(i));
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char symbol = static_cast<char>(byte);
    const auto found = by_bytes_.find({&symbol, 1});
    byte_tokens_[byte] = found == by_bytes_.end() ? -1 : found->second;
  }
  return {};
}

Result<void> BytePairTokenizer::load_merges(const GgufFile& file) {
  const auto* merges = file.find_strings("tokenizer.ggml.merges");
  if (merges == nullptr) return bad(file, "metadata \"tokenizer.ggml.merges\" is missing, expected a list of strings");
  merges_.reserve(merges->size());
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string& text = (*merges)[rank];
    const std::size_t space = text.find(' ', 1);
    const auto problem = [&](const char* what) {
      return bad(file, "merge " + std::to_string(rank) + " \"" + text + "\" " + what);
    };
    if (space == std::string::npos) return problem("is not two tokens with a space between them");
    const std::string left = decode_token(std::string_view(text).substr(0, space));
    const std::string right = decode_token(std::string_view(text).substr(space + 1));
    const auto left_id = by_bytes_.find(left);
    const auto right_id = by_bytes_.find(right);
    const auto merged_id = by_bytes_.find(left + right);
    if (left_id == by_bytes_.end() || right_id == by_bytes_.end() || merged_id == by_bytes_.end()) {
      return problem("names a token that is not in the vocabulary");
    }
    merges_.try_emplace(pair_key(left_id->second, right_id->second),
                        Merge{static_cast<std::uint32_t>(rank), merged_id->second});
  }
  return {};
}

Result<TokenId> BytePairTokenizer::optional_id(const GgufFile& file, const char* key) const {
  if (file.find(key) == nullptr) return TokenId{-1};
  const auto id = file.get_uint(key);
  if (!id) return id.error();
  if (*id >= tokens_.size()) {
    return bad(file, std::string("metadata \"") + key + "\" is " + std::to_string(*id) + ", expected an id below " +
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

  std::ranges::stable_sort(specials_, [](const Special& a, const Special& b) { return a.text.size() > b.text.size(); });
  for (const Special& special : specials_) {
    special_starts_[static_cast<unsigned char>(special.text[0])] = true;
    if (special.control && std::ranges::find(kEndTexts, special.text) != std::end(kEndTexts)) {
      tokens_[static_cast<std::size_t>(special.id)].end = true;
    }
  }
  return {};
}

TokenId BytePairTokenizer::find_special(std::string_view text) const {
  for (const Special& special : specials_) {
    if (special.text == text) return special.id;
  }
  return -1;
}

const BytePairTokenizer::Special* BytePairTokenizer::special_at(std::string_view text, bool parse_special) const {
  if (!special_starts_[static_cast<unsigned char>(text[0])]) return nullptr;
  for (const Special& special : specials_) {
    if ((parse_special || !special.control) && text.starts_with(special.text)) return &special;
  }
  return nullptr;
}

std::vector<TokenId> BytePairTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_special && add_bos_) ids.push_back(bos_);
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Special* special = special_at(text.substr(at), options.parse_special);
    if (special == nullptr) {
      ++at;
      continue;
    }
    encode_text(text.substr(begin, at - begin), ids);
    ids.push_back(special->id);
    at += special->text.size();
    begin = at;
  }
  encode_text(text.substr(begin), ids);
  return ids;
}

void BytePairTokenizer::encode_text(std::string_view text, std::vector<TokenId>& out) const {
  pretokenizer_->split(text, [&](std::string_view word) { encode_word(word, out); });
}

void BytePairTokenizer::encode_word(std::string_view word, std::vector<TokenId>& out) const {
  if (pretokenizer_->whole_words_first()) {
    if (const auto whole = by_bytes_.find(word); whole != by_bytes_.end()) {
      out.push_back(whole->second);
      return;
    }
  }
  // A doubly linked list of symbols, and a queue of the merges that are possible between neighbours.
  struct Symbol {
    TokenId id;
    std::int32_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t left;
    TokenId left_id, right_id, merged;
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const auto add = [&](char byte) {
    const TokenId id = byte_tokens_[static_cast<unsigned char>(byte)];
    const auto at = static_cast<std::int32_t>(symbols.size());
    if (id >= 0) symbols.push_back({id, at - 1, at + 1});
    return id >= 0;
  };
  for (const char byte : word) {
    if (!add(byte)) std::ranges::for_each(kReplacement, add);
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](std::int32_t left) {
    if (left < 0 || symbols[static_cast<std::size_t>(left)].next < 0) return;
    const TokenId a = symbols[static_cast<std::size_t>(left)].id;
    const TokenId b = symbols[static_cast<std::size_t>(symbols[static_cast<std::size_t>(left)].next)].id;
    const auto merge = merges_.find(pair_key(a, b));
    if (merge != merges_.end()) queue.push({merge->second.rank, left, a, b, merge->second.merged});
  };
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) offer(static_cast<std::int32_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<std::size_t>(best.left)];
    if (left.id != best.left_id || left.next < 0) continue;  // one of the two has been merged since
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    if (right.id != best.right_id) continue;
    left.id = best.merged;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.left;
    offer(left.previous);
    offer(best.left);
  }
  for (std::int32_t at = 0; at >= 0; at = symbols[static_cast<std::size_t>(at)].next) {
    out.push_back(symbols[static_cast<std::size_t>(at)].id);
  }
}

}  // namespace headwater::model
