#include "model/chat_template.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "model/gguf.h"
#include "model/jinja_probe.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

using Piece = ChatTemplate::Piece;
using Kind = Piece::Kind;
using Pieces = std::vector<Piece>;

Piece text(std::string words) { return {Kind::text, std::move(words)}; }
Piece special(std::string_view token) { return {Kind::special, std::string(token)}; }

Error bad(std::size_t message, const char* field, const std::string& what) {
  const std::string place = "messages[" + std::to_string(message) + "]" + field;
  return {ErrorCode::invalid_request, place + " " + what, place};
}

std::string trimmed(const std::string& content) {
  constexpr const char* kSpace = " \t\r\n\v\f";
  const std::size_t begin = content.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  return content.substr(begin, content.find_last_not_of(kSpace) - begin + 1);
}

Result<void> check_roles(std::span<const ChatMessage> messages) {
  if (messages.empty()) return Error{ErrorCode::invalid_request, "messages is empty; send at least one", "messages"};
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      return bad(i, ".role", "is \"" + printable(role) + "\"; it must be one of system, user, assistant");
    }
  }
  return {};
}

/// For models that know turns of user and assistant only: takes a leading system message off, as the text that goes in
/// front of the first turn, and holds the rest against the order user, assistant, user, …
Result<void> check_turns(std::span<const ChatMessage>& messages, std::string& system) {
  if (auto checked = check_roles(messages); !checked) return checked;
  std::size_t first = 0;
  if (messages[0].role == "system") {
    system = messages[0].content + "\n\n";
    first = 1;
  }
  if (messages.size() == first) {
    return Error{ErrorCode::invalid_request, "messages has no user message; the model needs one", "messages"};
  }
  for (std::size_t i = first; i < messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected) {
      return bad(i, ".role", "is \"" + messages[i].role + "\"; this model wants \"" + expected + "\" there");
    }
  }
  messages = messages.subspan(first);
  return {};
}

/// <|im_start|>role\ncontent<|im_end|>\n; few models of this form begin with BOS.
class ChatMl : public ChatTemplate {
 public:
  ChatMl(std::string default_system, bool bos, bool trim)
      : default_system_(std::move(default_system)), bos_(bos), trim_(trim) {}
  std::string_view name() const override { return "chatml"; }

  Result<Pieces> render(std::span<const ChatMessage> messages, bool open_answer) const override {
    if (auto checked = check_roles(messages); !checked) return checked.error();
    Pieces pieces;
    if (bos_) pieces.push_back({Kind::bos, ""});
    const auto add = [&](const std::string& role, const std::string& content) {
      pieces.insert(pieces.end(),
                    {special("<|im_start|>"), text(role + "\n" + content), special("<|im_end|>"), text("\n")});
    };
    if (!default_system_.empty() && messages[0].role != "system") add("system", default_system_);
    for (const ChatMessage& message : messages) add(message.role, trim_ ? trimmed(message.content) : message.content);
    if (open_answer) pieces.insert(pieces.end(), {special("<|im_start|>"), text("assistant\n")});
    return pieces;
  }

 private:
  std::string default_system_;  ///< what the file's template says where the conversation has no system message
  bool bos_;
  bool trim_;
};

/// <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
class Llama3 : public ChatTemplate {
 public:
  std::string_view name() const override { return "llama3"; }

  Result<Pieces> render(std::span<const ChatMessage> messages, bool open_answer) const override {
    if (auto checked = check_roles(messages); !checked) return checked.error();
    Pieces pieces = {{Kind::bos, ""}};
    const auto open = [&](const std::string& role) {
      pieces.insert(pieces.end(),
                    {special("<|start_header_id|>"), text(role), special("<|end_header_id|>"), text("\n\n")});
    };
    for (const ChatMessage& message : messages) {
      open(message.role);
      pieces.insert(pieces.end(), {text(trimmed(message.content)), special("<|eot_id|>")});
    }
    if (open_answer) open("assistant");
    return pieces;
  }
};

/// <start_of_turn>user\ncontent<end_of_turn>\n; the system message goes in front of the first turn.
class Gemma : public ChatTemplate {
 public:
  std::string_view name() const override { return "gemma"; }

  Result<Pieces> render(std::span<const ChatMessage> messages, bool open_answer) const override {
    std::string system;
    if (auto checked = check_turns(messages, system); !checked) return checked.error();
    Pieces pieces = {{Kind::bos, ""}};
    for (const ChatMessage& message : messages) {
      const std::string role = message.role == "assistant" ? "model" : "user";
      pieces.insert(pieces.end(), {special("<start_of_turn>"), text(role + "\n" + system + trimmed(message.content)),
                                   special("<end_of_turn>"), text("\n")});
      system.clear();
    }
    if (open_answer) pieces.insert(pieces.end(), {special("<start_of_turn>"), text("model\n")});
    return pieces;
  }
};

/// [INST] content [/INST] answer</s>; the older models put spaces inside of both marks, later ones only of the first,
/// the newest none.
class Mistral : public ChatTemplate {
 public:
  Mistral(bool space, bool end_space) : space_(space ? " " : ""), end_space_(end_space ? " " : "") {}
  std::string_view name() const override { return "mistral"; }

  Result<Pieces> render(std::span<const ChatMessage> messages, bool /*open_answer*/) const override {
    std::string system;
    if (auto checked = check_turns(messages, system); !checked) return checked.error();
    Pieces pieces = {{Kind::bos, ""}};
    for (const ChatMessage& message : messages) {
      if (message.role == "user") {
        pieces.insert(pieces.end(),
                      {special("[INST]"), text(space_ + system + message.content + end_space_), special("[/INST]")});
        system.clear();
      } else {
        pieces.insert(pieces.end(), {text(space_ + trimmed(message.content)), special("</s>")});
      }
    }
    return pieces;
  }

 private:
  std::string space_, end_space_;
};

/// Refuses every conversation.
class Refusing : public ChatTemplate {
 public:
  explicit Refusing(std::string why) : why_(std::move(why)) {}
  std::string_view name() const override { return ""; }
  Result<Pieces> render(std::span<const ChatMessage> /*messages*/, bool /*open_answer*/) const override {
    return Error{ErrorCode::invalid_request, why_, "messages"};
  }

 private:
  std::string why_;
};

using Made = std::shared_ptr<const ChatTemplate>;

constexpr const char* kKnown = "chatml, llama3, gemma, mistral";
constexpr std::string_view kBos = "\x02";  // no text of a template

/// Conversations in which the templates of models differ: with and without a system message, with blanks around
/// what is said, several turns, thoughts in an answer.
const std::vector<std::vector<ChatMessage>>& probes() {
  static const std::vector<std::vector<ChatMessage>> all = {
      {{"user", " Hello\n there \n"}},
      {{"system", " Be kind.\n"}, {"user", "Hello"}},
      {{"user", "One"}, {"assistant", " Two \n"}, {"user", "Three"}},
      {{"system", "Be kind."},
       {"user", "One"},
       {"assistant", "<think>\nWell\n</think>\n\nTwo"},
       {"user", "Three"},
       {"assistant", "Four"},
       {"user", "Five"}},
  };
  return all;
}

/// What the form writes, with kBos for BOS.
std::string written(const ChatTemplate& form, const std::vector<ChatMessage>& messages) {
  const auto pieces = form.render(messages);
  if (!pieces) return "";
  std::string text;
  for (const Piece& piece : *pieces) text += piece.kind == Kind::bos ? std::string(kBos) : piece.text;
  return text;
}

/// What a ChatML template puts in front of a conversation without a system message.
std::string default_system(std::string_view jinja, std::string_view eos) {
  constexpr std::string_view kOpen = "<|im_start|>system\n";
  const std::string text = probe_template(jinja, probes()[0], kBos, eos).text.value_or("");
  const std::size_t begin = text.starts_with(kBos) ? kBos.size() : 0;
  const std::size_t end = text.find("<|im_end|>");
  if (text.compare(begin, kOpen.size(), kOpen) != 0 || end == std::string::npos) return "";
  return text.substr(begin + kOpen.size(), end - begin - kOpen.size());
}

/// The forms, in all their variants, that a template with such a mark may be.
std::vector<Made> candidates(std::string_view jinja, std::string_view eos) {
  const auto has = [&](std::string_view part) { return jinja.find(part) != std::string_view::npos; };
  std::vector<Made> made;
  for (const bool trim : {false, true}) {
    for (const bool bos : {false, true}) {
      if (!has("<|im_start|>")) break;
      made.push_back(std::make_shared<ChatMl>(default_system(jinja, eos), bos, trim));
    }
  }
  if (!made.empty()) return made;
  if (has("<|start_header_id|>")) return {std::make_shared<Llama3>()};
  if (has("<start_of_turn>")) return {std::make_shared<Gemma>()};
  if (!has("[INST]")) return {};
  return {std::make_shared<Mistral>(true, true), std::make_shared<Mistral>(true, false),
          std::make_shared<Mistral>(false, false)};
}

/// How far two texts agree, and what stands there.
struct Difference {
  std::size_t agreed = 0;
  std::string words;
};

Difference difference(const std::string& theirs, const std::string& ours) {
  const auto [here, there] = std::mismatch(theirs.begin(), theirs.end(), ours.begin(), ours.end());
  const auto agreed = static_cast<std::size_t>(here - theirs.begin());
  constexpr std::size_t kShown = 48;
  return {agreed, "it writes \"" + printable(theirs.substr(agreed), kShown) + "\" where that form has \"" +
                      printable(ours.substr(agreed), kShown) + "\""};
}

/// Why the template is not the form; none: both write the same.
std::optional<Difference> differs(std::string_view jinja, std::string_view eos, const ChatTemplate& form) {
  for (std::size_t i = 0; i < probes().size(); ++i) {
    const ProbeResult probe = probe_template(jinja, probes()[i], kBos, eos);
    const bool has_system = probes()[i][0].role == "system";
    if (probe.raised && has_system) continue;  // it takes none; the form finds a place for it
    if (probe.raised) return Difference{i, "it refuses a plain conversation"};
    if (!probe.text) return Difference{i, "it cannot be compared, for " + printable(probe.unknown)};
    if (const std::string ours = written(form, probes()[i]); *probe.text != ours) {
      Difference first = difference(*probe.text, ours);
      first.agreed += i << 20U;  // further on, in a later conversation
      return first;
    }
  }
  return std::nullopt;
}

Error not_known(const std::string& why) {
  return {
      ErrorCode::invalid_model,
      "the chat template of this model is none that this server writes: " + why +
          ". Send a prompt to /v1/completions, or name the form that fits the model with model.chat_template in the "
          "topology (known: " +
          kKnown + ")",
      ""};
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::recognise(std::string_view jinja, std::string_view eos) {
  std::string why = "it has none of their marks";
  std::size_t agreed = 0;
  for (const Made& form : candidates(jinja, eos)) {
    const auto found = differs(jinja, eos, *form);
    if (!found) return form;
    if (agreed > 0 && found->agreed <= agreed) continue;
    agreed = found->agreed;
    why = "its marks are those of \"" + std::string(form->name()) + "\", and " + found->words;
  }
  return not_known(why);
}

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::of_file(const GgufFile& file) {
  const auto jinja = file.get_string("tokenizer.chat_template");
  if (!jinja) return jinja.error();
  const auto* tokens = file.find_strings("tokenizer.ggml.tokens");
  const auto eos = file.get_uint("tokenizer.ggml.eos_token_id");
  const bool known = tokens != nullptr && eos && *eos < tokens->size();
  return recognise(*jinja, known ? std::string_view((*tokens)[*eos]) : "</s>");
}

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::by_name(std::string_view name) {
  if (name == "chatml") return Made(std::make_shared<ChatMl>("", false, false));
  if (name == "llama3") return Made(std::make_shared<Llama3>());
  if (name == "gemma") return Made(std::make_shared<Gemma>());
  if (name == "mistral") return Made(std::make_shared<Mistral>(false, false));
  return Error{ErrorCode::invalid_topology,
               "unknown chat template \"" + std::string(name) + "\" (known: " + kKnown + ")", "chat_template"};
}

std::shared_ptr<const ChatTemplate> ChatTemplate::refusing(std::string why) {
  return std::make_shared<Refusing>(std::move(why));
}

Result<std::string> ChatTemplate::render_text(std::span<const ChatMessage> messages) const {
  auto pieces = render(messages);
  if (!pieces) return pieces.error();
  std::string joined;
  for (const Piece& piece : *pieces) joined += piece.text;
  return joined;
}

Result<std::vector<TokenId>> ChatTemplate::encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                                  bool open_answer) const {
  auto pieces = render(messages, open_answer);
  if (!pieces) return pieces.error();
  std::vector<TokenId> ids = tokenizer.encode("", {.add_special = true});  // BOS, where the file asks for it
  const bool begun = !ids.empty();
  std::string run;
  const auto flush = [&] {
    const auto encoded = tokenizer.encode(run, {});
    ids.insert(ids.end(), encoded.begin(), encoded.end());
    run.clear();
  };
  for (const Piece& piece : *pieces) {
    if (piece.kind == Kind::bos && begun) continue;
    const TokenId id = piece.kind == Kind::bos       ? tokenizer.bos()
                       : piece.kind == Kind::special ? tokenizer.find_special(piece.text)
                                                     : -1;
    if (id < 0) {
      run += piece.text;  // words, or a mark for which the vocabulary has no token
      continue;
    }
    flush();
    ids.push_back(id);
  }
  flush();
  return ids;
}

}  // namespace headwater::model
