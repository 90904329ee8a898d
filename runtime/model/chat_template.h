#pragma once
// Renders a conversation in the form that a model was trained on.
//
// A GGUF file carries a Jinja program. It is recognised by its marks and rendered natively, if it writes the same for a
// few conversations (jinja_probe.h); what a client sends never meets it.

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

class GgufFile;

class ChatTemplate {
 public:
  /// The form that writes what `jinja`, a file's `tokenizer.chat_template`, would. `eos`: the text of the file's token.
  /// Error where there is none: what differs, and the way out.
  static Result<std::shared_ptr<const ChatTemplate>> recognise(std::string_view jinja, std::string_view eos = "</s>");
  /// recognise() of what the file has. REQUIRES: it has a `tokenizer.chat_template`.
  static Result<std::shared_ptr<const ChatTemplate>> of_file(const GgufFile& file);
  /// "chatml", "llama3", "gemma", "mistral". Error: lists the known.
  static Result<std::shared_ptr<const ChatTemplate>> by_name(std::string_view name);
  /// For a model that serves no chat: render() gives the error "invalid_request" with these words.
  static std::shared_ptr<const ChatTemplate> refusing(std::string why);
  virtual ~ChatTemplate() = default;

  /// "" for one that refuses.
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
  /// `open_answer`: false leaves out what opens the answer, after the last message.
  virtual Result<std::vector<Piece>> render(std::span<const ChatMessage> messages, bool open_answer = true) const = 0;

  /// render(), joined, without BOS. For people and tests.
  Result<std::string> render_text(std::span<const ChatMessage> messages) const;
  /// render(), encoded. The text between two special tokens is encoded as one, as if it had been read from the joined
  /// prompt. BOS is in front, once, where the template or the file asks for it.
  Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                      bool open_answer = true) const;
};

}  // namespace headwater::model
