#include "model/prompt_encoder.h"

#include <algorithm>
#include <utility>

namespace headwater::model {
namespace {

/// After so much the number of ids is looked at.
constexpr std::size_t kStride = 4096;

/// Drops the white space that the tokens before it strip, whoever wrote it, as where the whole is one text.
void strip_behind_tokens(const Tokenizer& tokenizer, std::vector<PromptPart>& parts) {
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const TokenId before = parts[i - 1].id;
    if (parts[i].id >= 0 || before < 0 || !tokenizer.strips_space(before)) continue;
    std::string& text = parts[i].text;
    text.erase(0, text.find_first_not_of(kWhiteSpace));
  }
  std::erase_if(parts, [](const PromptPart& part) { return part.id < 0 && part.text.empty(); });
}

}  // namespace

Result<std::vector<PromptPart>> prompt_parts(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                             std::span<const ChatMessage> messages, const ChatOptions& options) {
  auto prompt = chat.render(messages, options);
  if (!prompt) return prompt.error();
  std::vector<PromptPart> parts;
  if (tokenizer.adds_bos()) parts.push_back({tokenizer.bos(), ""});
  const bool begun = !parts.empty();
  const auto add_text = [&](std::string_view text) {
    if (text.empty()) return;
    if (parts.empty() || parts.back().id >= 0) parts.push_back({-1, ""});
    parts.back().text += text;
  };
  bool first = true;
  prompt->each_stretch(0, prompt->size(), [&](std::string_view text, jinja::Origin origin) {
    if (origin == jinja::Origin::data) {
      add_text(text);
      first = false;
      return;
    }
    // What is found in any text stays text here, so that the words around it are met as in a text.
    for (std::size_t begin = 0, at = 0;; first = false) {
      const Tokenizer::Special special =
          at < text.size() ? tokenizer.special_at(text.substr(at)) : Tokenizer::Special{};
      const bool control = special.id >= 0 && tokenizer.is_control(special.id);
      if (control || at >= text.size()) add_text(text.substr(begin, at - begin));
      if (at >= text.size()) break;
      at += special.id >= 0 ? special.length : 1;
      if (!control) continue;
      begin = at;
      const bool again = first && begun && special.id == tokenizer.bos();
      if (!again) parts.push_back({special.id, ""});
    }
  });
  strip_behind_tokens(tokenizer, parts);
  return parts;
}

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer, std::vector<PromptPart> parts)
    : tokenizer_(&tokenizer), parts_(std::move(parts)) {
  for (const PromptPart& part : parts_) {
    bytes_ += part.text.size();
    spelled_bytes_ += tokenizer.spelled_bytes(part.text);
  }
}

std::vector<TokenId> PromptEncoder::take() && {
  if (encoding_ != nullptr) ids_.insert(ids_.end(), encoding_->ids().begin(), encoding_->ids().end());
  encoding_.reset();
  return std::move(ids_);
}

bool PromptEncoder::advance(std::size_t bytes, std::size_t most) {
  while (size() <= most) {
    if (encoding_ != nullptr) {
      const std::size_t stride = std::min(bytes, kStride);
      if (stride == 0) return false;
      bytes -= stride;
      if (!encoding_->advance(stride)) continue;
      const std::vector<TokenId>& ids = encoding_->ids();
      ids_.insert(ids_.end(), ids.begin(), ids.end());
      encoding_.reset();
    }
    if (next_ == parts_.size()) return true;
    const PromptPart& part = parts_[next_++];
    if (part.id >= 0) {
      ids_.push_back(part.id);
    } else {
      encoding_ = tokenizer_->begin_encoding(part.text, part.options);
    }
  }
  return true;
}

}  // namespace headwater::model
