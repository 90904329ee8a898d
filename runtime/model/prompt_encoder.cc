#include "model/prompt_encoder.h"

#include <algorithm>
#include <utility>

namespace headwater::model {
namespace {

/// After so much the number of ids is looked at.
constexpr std::size_t kStride = 4096;

}  // namespace

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer, std::vector<PromptPart> parts)
    : tokenizer_(&tokenizer), parts_(std::move(parts)) {
  for (const PromptPart& part : parts_) bytes_ += part.text.size();
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
      encoding_ = tokenizer_->begin(part.text, part.options);
    }
  }
  return true;
}

}  // namespace headwater::model
