#pragma once
// Renders a conversation in the form that a model was trained on, by the Jinja template that its file carries.
//
// Threading: immutable; any number of threads may render.

#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "model/jinja/template.h"
#include "model/tokenizer.h"

namespace headwater::model {

class GgufFile;

/// The texts of a model's special tokens, which templates write by name. Empty: it has none.
struct SpecialTexts {
  std::string bos, eos, unk, pad;
  static SpecialTexts of_file(const GgufFile& file);
};

class ChatTemplate {
 public:
  using Made = Result<std::shared_ptr<const ChatTemplate>>;
  /// Error "invalid_model": what cannot be read, with its line. `name`: whose template it is.
  static Made parse(std::string_view jinja, const SpecialTexts& texts, std::string name);
  /// The file's own. REQUIRES: it has a `tokenizer.chat_template`.
  static Made of_file(const GgufFile& file);
  /// For a model that serves no chat: render() gives the error "invalid_request" with these words.
  static std::shared_ptr<const ChatTemplate> refusing(std::string why);

  /// The Jinja text of an operator's choice: a built-in form ("chatml"), or the path of a file. Error
  /// "invalid_topology": neither, what it cannot be read for, or the line that is none of Jinja.
  static Result<std::string> read_source(const std::string& name_or_path);

  /// "" for one that refuses.
  const std::string& name() const { return name_; }

  /// The prompt up to where the answer begins, or up to the end of the last message. A byte's origin says whether the
  /// template has written it: special tokens are made of those alone. Errors: of chat_context(); "invalid_request", in
  /// the template's own words where it refuses the conversation.
  Result<jinja::Text> render(std::span<const ChatMessage> messages, const ChatOptions& options = {}) const;
  /// render(), encoded. The text between two special tokens is encoded as one, as if it had been read from the prompt
  /// as a whole. BOS is in front, once, where the template or the file asks for it.
  Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                      const ChatOptions& options = {}) const;

 private:
  ChatTemplate() = default;

  std::string name_;
  std::string why_;  ///< it refuses
  std::shared_ptr<const jinja::Template> jinja_;
  SpecialTexts texts_;
};

}  // namespace headwater::model
