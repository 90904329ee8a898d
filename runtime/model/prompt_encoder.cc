#include "model/prompt_encoder.h"

#include <algorithm>
#include <utility>

namespace headwater::model {
namespace {

/// After so much the number of ids is looked at.
constexpr std::size_t kStride = 4096;

}  // namespace

Result<std::vector<PromptPart>> prompt_parts(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                             std::span<const ChatMessage> messages, bool open_answer) {
  using Kind = ChatTemplate::Piece::Kind;
  auto pieces = chat.render(messages, open_answer);
  if (!pieces) return pieces.error();
  std::vector<PromptPart> parts;
  for (const TokenId id : tokenizer.encode("", {.add_special = true})) parts.push_back({id, ""});  // BOS
  const bool begun = !parts.empty();
  for (ChatTemplate::Piece& piece : *pieces) {
    if (piece.kind == Kind::bos && begun) continue;
    const TokenId id = piece.kind == Kind::bos       ? tokenizer.bos()
                       : piece.kind == Kind::special ? tokenizer.find_special(piece.text)
                                                     : -1;
    if (id >= 0) {
      parts.push_back({id, ""});
    } else if (parts.empty() || parts.back().id >= 0) {
      parts.push_back({-1, std::move(piece.text)});
    } else {
      parts.back().text += piece.text;  // words, or a mark for which the vocabulary has no token
    }
  }
  return parts;
}

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer, std::vector<PromptPart> parts)
    : tokenizer_(&tokenizer), parts_(std::move(parts)) {
  for (const PromptPart& part : parts_) bytes_ += part.text.size();
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
