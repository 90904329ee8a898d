#include "model/chat_template.h"

#include <array>
#include <optional>
#include <utility>

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
  ChatMl(std::string default_system, bool bos) : default_system_(std::move(default_system)), bos_(bos) {}
  std::string_view name() const override { return "chatml"; }

  Result<Pieces> render(std::span<const ChatMessage> messages) const override {
    if (auto checked = check_roles(messages); !checked) return checked.error();
    Pieces pieces;
    if (bos_) pieces.push_back({Kind::bos, ""});
    const auto add = [&](const std::string& role, const std::string& content) {
      pieces.insert(pieces.end(),
                    {special("<|im_start|>"), text(role + "\n" + content), special("<|im_end|>"), text("\n")});
    };
    if (!default_system_.empty() && messages[0].role != "system") add("system", default_system_);
    for (const ChatMessage& message : messages) add(message.role, message.content);
    pieces.insert(pieces.end(), {special("<|im_start|>"), text("assistant\n")});
    return pieces;
  }

 private:
  std::string default_system_;  ///< what the file's template says where the conversation has no system message
  bool bos_;
};

/// <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>
class Llama3 : public ChatTemplate {
 public:
  std::string_view name() const override { return "llama3"; }

  Result<Pieces> render(std::span<const ChatMessage> messages) const override {
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
    open("assistant");
    return pieces;
  }
};

/// <start_of_turn>user\ncontent<end_of_turn>\n; the system message goes in front of the first turn.
class Gemma : public ChatTemplate {
 public:
  std::string_view name() const override { return "gemma"; }

  Result<Pieces> render(std::span<const ChatMessage> messages) const override {
    std::string system;
    if (auto checked = check_turns(messages, system); !checked) return checked.error();
    Pieces pieces = {{Kind::bos, ""}};
    for (const ChatMessage& message : messages) {
      const std::string role = message.role == "assistant" ? "model" : "user";
      pieces.insert(pieces.end(), {special("<start_of_turn>"), text(role + "\n" + system + trimmed(message.content)),
                                   special("<end_of_turn>"), text("\n")});
      system.clear();
    }
    pieces.insert(pieces.end(), {special("<start_of_turn>"), text("model\n")});
    return pieces;
  }
};

/// [INST] content [/INST] answer</s>; the older models put spaces inside of both marks, later ones only of the first,
/// the newest none.
class Mistral : public ChatTemplate {
 public:
  Mistral(bool space, bool end_space) : space_(space ? " " : ""), end_space_(end_space ? " " : "") {}
  std::string_view name() const override { return "mistral"; }

  Result<Pieces> render(std::span<const ChatMessage> messages) const override {
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

/// A text between quotes in a Jinja program, up to `end`. None where the quotes close before.
std::optional<std::string> literal(std::string_view jinja, char quote, std::string_view end) {
  std::string words;
  while (!jinja.empty() && !jinja.starts_with(end)) {
    if (jinja[0] == quote) return std::nullopt;
    if (jinja[0] == '\\' && jinja.size() > 1) {
      words += jinja[1] == 'n' ? '\n' : jinja[1] == 't' ? '\t' : jinja[1];
      jinja.remove_prefix(2);
    } else {
      words += jinja[0];
      jinja.remove_prefix(1);
    }
  }
  return jinja.empty() ? std::nullopt : std::optional(words);
}

/// A text outside of any expression, up to `end`. None where it may be more than that.
std::optional<std::string> plain(std::string_view jinja, std::string_view end) {
  const std::string_view words = jinja.substr(0, jinja.find(end));
  if (words.size() == jinja.size() || words.find_first_of("'\"{}+") != std::string_view::npos) return std::nullopt;
  return std::string(words);
}

/// The system message that a ChatML template adds by itself: what its text says between the marks, if that is a text
/// and no expression. Empty: none.
std::string default_system(std::string_view jinja) {
  constexpr std::string_view kOpen = "<|im_start|>system";
  for (std::size_t at = jinja.find(kOpen); at != std::string_view::npos; at = jinja.find(kOpen, at + 1)) {
    std::string_view rest = jinja.substr(at + kOpen.size());
    const std::string_view line_end = rest.starts_with("\n") ? "\n" : "\\n";
    if (!rest.starts_with(line_end)) continue;
    rest.remove_prefix(line_end.size());
    const char before = at > 0 ? jinja[at - 1] : '\0';
    const bool quoted = before == '\'' || before == '"';
    const auto words = quoted ? literal(rest, before, "<|im_end|>") : plain(rest, "<|im_end|>");
    if (words && !words->empty()) return *words;
  }
  return "";
}

constexpr const char* kKnown = "chatml, llama3, gemma, mistral";

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::recognise(std::string_view jinja) {
  const auto has = [&](std::string_view part) { return jinja.find(part) != std::string_view::npos; };
  using Made = std::shared_ptr<const ChatTemplate>;
  if (has("<|im_start|>")) return Made(std::make_shared<ChatMl>(default_system(jinja), has("bos_token")));
  if (has("<|start_header_id|>")) return Made(std::make_shared<Llama3>());
  if (has("<start_of_turn>")) return Made(std::make_shared<Gemma>());
  if (has("[INST]")) return Made(std::make_shared<Mistral>(has("[INST] "), has(" [/INST]")));
  return Error{ErrorCode::invalid_model,
               std::string("the chat template is of no kind that is known; name the one that fits it with "
                           "model.chat_template in the topology (known: ") +
                   kKnown + ")",
               ""};
}

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::by_name(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kMarks = {{{"chatml", "<|im_start|>"},
                                                                                    {"llama3", "<|start_header_id|>"},
                                                                                    {"gemma", "<start_of_turn>"},
                                                                                    {"mistral", "[INST]"}}};
  for (const auto& [known, mark] : kMarks) {
    if (known == name) return recognise(mark);
  }
  return Error{ErrorCode::invalid_topology,
               "unknown chat template \"" + std::string(name) + "\" (known: " + kKnown + ")", "chat_template"};
}

Result<std::string> ChatTemplate::render_text(std::span<const ChatMessage> messages) const {
  auto pieces = render(messages);
  if (!pieces) return pieces.error();
  std::string joined;
  for (const Piece& piece : *pieces) joined += piece.text;
  return joined;
}

Result<std::vector<TokenId>> ChatTemplate::encode(const Tokenizer& tokenizer,
                                                  std::span<const ChatMessage> messages) const {
  auto pieces = render(messages);
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
