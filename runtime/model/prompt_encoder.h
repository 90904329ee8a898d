#pragma once
// A prompt on its way to ids, a slice at a time, and no longer than it may be.
//
// Threading: one caller at a time.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/chat_template.h"
#include "model/encoding.h"

namespace headwater::model {

/// A piece of a prompt: words, or one token.
struct PromptPart {
  TokenId id = -1;  ///< -1: `text` counts
  std::string text;
  EncodeOptions options{};
};

/// What ChatTemplate::encode() encodes. Errors: its own.
Result<std::vector<PromptPart>> prompt_parts(const ChatTemplate& chat, const Tokenizer& tokenizer,
                                             std::span<const ChatMessage> messages, const ChatOptions& options = {});

class PromptEncoder {
 public:
  /// `tokenizer` outlives it.
  PromptEncoder(const Tokenizer& tokenizer, std::vector<PromptPart> parts);

  /// Of all texts.
  std::size_t bytes() const { return bytes_; }
  /// Whether it may have no more than `tokens` tokens, which its length alone can rule out.
  bool may_fit(std::size_t tokens) const { return spelled_bytes_ <= tokenizer_->max_bytes_for(tokens); }
  /// Goes on for about so many bytes (see Encoding). True: all is encoded, or there are more than `most` ids.
  bool advance(std::size_t bytes, std::size_t most);
  /// What there is so far.
  std::size_t size() const { return ids_.size() + (encoding_ ? encoding_->ids().size() : 0); }
  std::vector<TokenId> take() &&;

 private:
  const Tokenizer* tokenizer_;
  std::vector<PromptPart> parts_;
  std::size_t bytes_ = 0;
  std::size_t spelled_bytes_ = 0;
  std::size_t next_ = 0;  ///< part
  std::unique_ptr<Encoding> encoding_;
  std::vector<TokenId> ids_;
};

}  // namespace headwater::model
