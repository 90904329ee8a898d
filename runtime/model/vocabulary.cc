#include "model/vocabulary.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "model/gguf_value.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr std::int64_t kLastKind = 6;

/// Texts of control tokens that end an answer, whatever the file names as its EOS.
constexpr std::string_view kEndTexts[] = {
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>",
    "</s>",       "<end_of_turn>", "<|end|>",    "<EOT>",           "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"};

/// Marks of chat templates that do not end an answer. Some files list them, or the ends, as user-defined tokens, which
/// are found in any text: a client could then forge a turn. They are control tokens in every file.
constexpr std::string_view kTurnTexts[] = {"<|im_start|>",
                                           "<|start_header_id|>",
                                           "<|end_header_id|>",
                                           "<start_of_turn>",
                                           "[INST]",
                                           "[/INST]",
                                           "<s>",
                                           "<|system|>",
                                           "<|user|>",
                                           "<|assistant|>",
                                           "<|im_sep|>",
                                           "<|start_of_role|>",
                                           "<|end_of_role|>",
                                           "[SYSTEM_PROMPT]",
                                           "[/SYSTEM_PROMPT]",
                                           "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>",
                                           "<\uFF5CUser\uFF5C>",
                                           "<\uFF5CAssistant\uFF5C>"};

bool is_end_text(std::string_view text) { return std::ranges::find(kEndTexts, text) != std::end(kEndTexts); }

/// Phi-3's tokenizer drops white space behind its marks: templates have line ends there that the model has never seen.
/// No key says so. llama.cpp goes by the name; newer conversions write "Phi 3.5" there, which the architecture tells.
bool strips_behind_marks(const GgufFile& file) {
  const auto text = [&](const char* key) {
    const auto value = file.get_string(key);
    return value ? *value : std::string();
  };
  std::string name = text("general.name");
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos) return true;
  return text("general.architecture") == "phi3" && text("tokenizer.ggml.model") == "llama";  // Phi-4's is gpt2
}

/// Those of Phi-3's special tokens that do not.
constexpr std::string_view kKeepSpace[] = {"<unk>", "<s>", "<|endoftext|>"};

std::string named_token(std::size_t id, std::string_view text) {
  return "token " + std::to_string(id) + " \"" + printable(text) + "\"";
}

}  // namespace

std::string VocabularyTokenizer::named(TokenId id) const {
  return named_token(static_cast<std::size_t>(id), token_bytes(id));
}

std::size_t VocabularyTokenizer::longest_token() const {
  std::size_t longest = 1;
  for (const Token& token : tokens_) longest = std::max(longest, token.bytes.size());
  return longest;
}

std::size_t VocabularyTokenizer::strippable_bytes(std::string_view text) const {
  if (!strips_) return 0;
  const auto white = [](char c) { return kWhiteSpace.find(c) != std::string_view::npos; };
  return static_cast<std::size_t>(std::ranges::count_if(text, white));
}

Result<TokenId> VocabularyTokenizer::special_id(const GgufFile& file, std::string_view key, TokenId fallback) const {
  if (file.find(key) == nullptr) return valid(fallback) ? fallback : TokenId{-1};
  const auto id = file.get_uint(key);
  if (!id) return id.error();
  if (*id >= tokens_.size()) {
    return file.invalid("metadata \"" + std::string(key) + "\" is " + std::to_string(*id) + ", expected an id below " +
                        std::to_string(tokens_.size()));
  }
  return static_cast<TokenId>(*id);
}

Result<void> VocabularyTokenizer::load_ids(const GgufFile& file, const Defaults& defaults) {
  const auto bos = special_id(file, "tokenizer.ggml.bos_token_id", defaults.bos);
  if (!bos) return bos.error();
  bos_ = *bos;
  const auto eos = special_id(file, "tokenizer.ggml.eos_token_id", defaults.eos);
  if (!eos) return eos.error();
  eos_ = *eos;
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const auto id = special_id(file, key);
    if (!id) return id.error();
    if (*id >= 0) tokens_[static_cast<std::size_t>(*id)].end = true;
  }
  if (eos_ >= 0) tokens_[static_cast<std::size_t>(eos_)].end = true;
  const auto add_bos = file.get_bool_or("tokenizer.ggml.add_bos_token", defaults.add_bos);
  if (!add_bos) return add_bos.error();
  add_bos_ = *add_bos && bos_ >= 0;
  const auto add_eos = file.get_bool_or("tokenizer.ggml.add_eos_token", false);
  if (!add_eos) return add_eos.error();
  add_eos_ = *add_eos && eos_ >= 0;
  return {};
}

bool VocabularyTokenizer::is_mark(std::string_view text, TokenId id) const {
  // Where others begin and end a text, these two are tags of HTML, which vocabularies have, too.
  if (text == "<s>" && bos_ >= 0) return id == bos_;
  if (text == "</s>" && eos_ >= 0) return id == eos_;
  return is_end_text(text) || std::ranges::find(kTurnTexts, text) != std::end(kTurnTexts);
}

Result<void> VocabularyTokenizer::load_vocabulary(const GgufFile& file, const Defaults& defaults) {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  const auto* texts = file.find_strings(kTokens);
  if (texts == nullptr || texts->empty()) {
    return file.invalid("metadata \"" + std::string(kTokens) + "\" " + found_value(file.find(kTokens)) +
                        ", expected the vocabulary, an array of strings");
  }
  const GgufValue* kinds_value = file.find("tokenizer.ggml.token_type");
  const auto* kinds = kinds_value == nullptr ? nullptr : std::get_if<std::vector<std::int64_t>>(kinds_value);
  if (kinds_value != nullptr && (kinds == nullptr || kinds->size() != texts->size())) {
    return file.invalid("metadata \"tokenizer.ggml.token_type\" " + found_value(kinds_value) + ", expected " +
                        std::to_string(texts->size()) + " signed integers, a kind for each token");
  }
  tokens_.resize(texts->size());
  if (auto loaded = load_ids(file, defaults); !loaded) return loaded;
  std::unordered_set<std::string_view> known;
  known.reserve(texts->size());
  std::vector<SpecialTokens::Entry> specials;
  strips_ = strips_behind_marks(file);
  for (std::size_t i = 0; i < texts->size(); ++i) {
    const std::string& text = (*texts)[i];
    const std::int64_t number = kinds == nullptr ? static_cast<std::int64_t>(TokenKind::ordinary) : (*kinds)[i];
    if (number < 0 || number > kLastKind) {
      return file.invalid("token " + std::to_string(i) + " is of kind " + std::to_string(number) + ", expected 0 to 6");
    }
    if (text.size() > kMostTokenBytes) {
      return file.invalid(named_token(i, text) + " has " + std::to_string(text.size()) + " bytes, expected at most " +
                          std::to_string(kMostTokenBytes));
    }
    if (!text.empty() && !known.insert(text).second) {
      return file.invalid(named_token(i, text) + " is in the vocabulary twice, expected each token once");
    }
    const auto kind = static_cast<TokenKind>(number);
    const auto id = static_cast<TokenId>(i);
    Token& token = tokens_[i];
    token.bytes = text;
    if (kind == TokenKind::control || kind == TokenKind::unknown || kind == TokenKind::user_defined) {
      token.control = kind != TokenKind::user_defined || is_mark(text, id);
      token.end |= token.control && is_end_text(text);
      token.strips = strips_ && std::ranges::find(kKeepSpace, text) == std::end(kKeepSpace);
      if (!text.empty()) specials.push_back({text, id, token.control});
    }
    if (auto added = add_token(file, id, text, kind); !added) return added;
  }
  specials_ = SpecialTokens(std::move(specials));
  return {};
}

}  // namespace headwater::model
