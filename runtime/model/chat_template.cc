#include "model/chat_template.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "model/builtin_templates.h"
#include "model/chat_context.h"
#include "model/gguf.h"
#include "model/prompt_encoder.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr std::size_t kMostFile = 1 << 20;

/// The text of the token that the file names under this key.
std::string token_text(const GgufFile& file, const std::string& key) {
  const auto* tokens = file.find_strings("tokenizer.ggml.tokens");
  const auto id = file.get_uint("tokenizer.ggml." + key + "_token_id");
  return tokens != nullptr && id && *id < tokens->size() ? (*tokens)[*id] : "";
}

std::size_t bytes_of(std::span<const ChatMessage> messages, const ChatOptions& options) {
  std::size_t bytes = options.tools.size() + options.variables.size();
  for (const ChatMessage& message : messages) bytes += message.content.size() + message.more.size();
  return bytes;
}

/// Clients are told so who ask for a chat.
Error unusable(const std::string& why) {
  return {ErrorCode::invalid_model,
          "the chat template of this model cannot be read: " + why +
              ". Send a prompt to /v1/completions, or start with another template: --chat-template FILE",
          ""};
}

Error unreadable(const std::string& path, const std::string& why) {
  return {ErrorCode::invalid_topology, "the chat template " + printable(path) + " " + why, "chat_template"};
}

}  // namespace

SpecialTexts SpecialTexts::of_file(const GgufFile& file) {
  return {token_text(file, "bos"), token_text(file, "eos"), token_text(file, "unknown"), token_text(file, "padding")};
}

ChatTemplate::Made ChatTemplate::parse(std::string_view jinja, const SpecialTexts& texts, std::string name) {
  if (!valid_utf8(jinja)) return unusable("it is not UTF-8");
  auto parsed = jinja::Template::parse(jinja);
  if (!parsed) return unusable(parsed.error().message);
  const std::shared_ptr<ChatTemplate> made(new ChatTemplate);
  made->name_ = std::move(name);
  made->jinja_ = std::move(*parsed);
  made->texts_ = texts;
  return std::shared_ptr<const ChatTemplate>(made);
}

ChatTemplate::Made ChatTemplate::of_file(const GgufFile& file) {
  const auto jinja = file.get_string("tokenizer.chat_template");
  if (!jinja) return unusable("it is no text");  // clients are told, and not where the file is
  return parse(*jinja, SpecialTexts::of_file(file), "the model's own");
}

std::shared_ptr<const ChatTemplate> ChatTemplate::refusing(std::string why) {
  const std::shared_ptr<ChatTemplate> made(new ChatTemplate);
  made->why_ = std::move(why);
  return made;
}

Result<std::string> ChatTemplate::read_source(const std::string& name_or_path) {
  if (auto known = builtin_template(name_or_path); !known.empty()) return known;
  std::ifstream file(name_or_path, std::ios::binary);
  std::string text(kMostFile + 1, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return Error{ErrorCode::invalid_topology,
                 "unknown chat template \"" + printable(name_or_path) + "\": " + std::strerror(errno) +
                     "; expected a file with a Jinja template, or one of " + std::string(kBuiltinTemplates),
                 "chat_template"};
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMostFile) return unreadable(name_or_path, "has more than " + std::to_string(kMostFile) + " bytes");
  if (!valid_utf8(text)) return unreadable(name_or_path, "is not UTF-8");
  if (const auto parsed = jinja::Template::parse(text); !parsed) {
    return unreadable(name_or_path, "cannot be read: " + parsed.error().message);
  }
  return text;
}

Result<jinja::Text> ChatTemplate::render(std::span<const ChatMessage> messages, const ChatOptions& options) const {
  constexpr std::uint64_t kStepsOfAByte = 4;
  if (jinja_ == nullptr) return Error{ErrorCode::invalid_request, why_, "messages"};
  auto variables = chat_context(*jinja_, messages, options);
  if (!variables) return variables.error();
  const std::pair<const char*, const std::string*> texts[] = {
      {"bos_token", &texts_.bos}, {"eos_token", &texts_.eos}, {"unk_token", &texts_.unk}, {"pad_token", &texts_.pad}};
  for (const auto& [name, text] : texts) {
    if (text->empty()) continue;
    variables->emplace_back(name, jinja::Value::string({*text, jinja::Origin::written}, nullptr));
  }
  // What a client sends is held against other bounds; here it may take as much as it has to.
  const std::size_t bytes = bytes_of(messages, options);
  jinja::Limits limits;
  limits.steps += bytes * kStepsOfAByte;
  limits.bytes += bytes * kStepsOfAByte;
  limits.output += bytes * 2;
  auto text = jinja_->render(*variables, std::time(nullptr), limits);
  if (!text) return Error{text.error().code, text.error().message, "messages"};
  return text;
}

Result<std::vector<TokenId>> ChatTemplate::encode(const Tokenizer& tokenizer, std::span<const ChatMessage> messages,
                                                  const ChatOptions& options) const {
  auto parts = prompt_parts(*this, tokenizer, messages, options);
  if (!parts) return parts.error();
  std::vector<TokenId> ids;
  for (const PromptPart& part : *parts) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    const auto encoded = tokenizer.encode(part.text, part.options);
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }
  return ids;
}

}  // namespace headwater::model
