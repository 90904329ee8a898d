#pragma once
// Renders a conversation in the form that a model was trained on.
//
// A GGUF file carries a Jinja program. It is recognised by what it contains and rendered natively: no
// program from a file or a client is ever run.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "model/tokenizer.h"

namespace headwater::model {

class ChatTemplate {
 public:
  /// Recognises `jinja`, a file's `tokenizer.chat_template`. Error for an unknown one: says what to pass instead.
  static Result<std::shared_ptr<const ChatTemplate>> recognise(std::string_view jinja);
  /// "chatml", "llama3", "gemma", "mistral". Error: lists the known.
  static Result<std::shared_ptr<const ChatTemplate>> by_name(std::string_view name);
  virtual ~ChatTemplate() = default;

  virtual std::string_view name() const = 0;

  /// A piece of the rendered prompt.
  struct Piece {
    enum class Kind : std::uint8_t {
      text,     ///< the template's or a client's words; special tokens are not looked for in them
      special,  ///< one special token, by its text
      bos,      ///< the model's beginning-of-text token, if it has one
    };
    Kind kind = Kind::text;
    std::string text;
  };
  /// The prompt up to where the answer begins. Errors: unknown role, roles out of order where the model
  /// forbids it, no message at all; `param` names the place, e.g. "messages[2].role".
  virtual Result<std::vector<Piece>> render(std::span<const ChatMessage> messages) const = 0;

  /// render(), joined, without BOS. For people and tests.
  Result<std::string> render_text(std::span<const ChatMessage> messages) const;
  /// render(), encoded. The text between two special tokens is encoded as one, as if it had been read from the joined
  /// prompt. BOS is in front, once, where the template or the file asks for it.
  Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages) const;
};

}  // namespace headwater::model
