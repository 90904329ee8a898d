// The field `messages` of a conversation, the same in every dialect that takes one.

#include "gateway/openai_chat.h"

namespace headwater::gateway {
namespace {

constexpr std::size_t kMaxMessages = 4096;

void read_part(Fields& message, const Json& part, const std::string& place, std::vector<std::string>& out) {
  const std::string name = message.path(place);
  if (!part.is_object()) return message.fail(place, in_quotes(name) + " must be an object with \"type\" and \"text\"");
  std::string type;
  Fields fields = message.nested(place, part);
  fields.read("type", type);
  if (!fields.failed() && type != "text") {
    return message.fail(
        place + ".type",
        in_quotes(name + ".type") + " is " + in_quotes(type.substr(0, 64)) + "; this model takes only \"text\"",
        ErrorCode::unsupported_parameter);
  }
  if (fields.value("text") == nullptr) fields.fail("text", in_quotes(name + ".text") + " is missing");
  fields.read("text", out.emplace_back());
  fields.accept({"cache_control"});
  if (const auto read = fields.finish(); !read) return message.fail(read.error());
}

/// Parts stand on lines of their own, as other servers have it.
void read_parts(Fields& fields, const Json& parts, std::string& content) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < parts.size() && !fields.failed(); ++i) {
    read_part(fields, parts[i], "content[" + std::to_string(i) + "]", texts);
  }
  for (const std::string& text : texts) {
    if (&text != texts.data()) content += "\n";
    content += text;
  }
}

void read_content(Fields& fields, ChatMessage& message) {
  const Json* content = fields.value("content");
  if (content == nullptr) {
    if (message.role == "assistant") return;  // it may have said nothing
    return fields.fail("content", in_quotes(fields.path("content")) + " is missing; it is the text of the message");
  }
  content->is_array() ? read_parts(fields, *content, message.content) : fields.read("content", message.content);
}

void read_role(Fields& fields, std::string& role) {
  fields.read("role", role);
  if (role == "developer") role = "system";  // OpenAI's newer name for it
  if (role == "system" || role == "user" || role == "assistant") return;
  if (role == "tool" || role == "function") {
    return fields.fail("role",
                       in_quotes(fields.path("role")) + " is " + in_quotes(role) +
                           "; tools are not supported by this server. Put what the tool said into a \"user\" message",
                       ErrorCode::unsupported_parameter);
  }
  fields.fail("role", in_quotes(fields.path("role")) + " must be \"system\", \"user\" or \"assistant\"");
}

ChatMessage read_message(Fields& parent, const Json& value, const std::string& place) {
  ChatMessage message;
  if (!value.is_object()) {
    parent.fail(place, in_quotes(parent.path(place)) + " must be an object with \"role\" and \"content\"");
    return message;
  }
  Fields fields = parent.nested(place, value);
  read_role(fields, message.role);
  read_content(fields, message);
  fields.accept({"name", "refusal", "annotations", "reasoning_content"});
  fields.refuse({"tool_calls", "tool_call_id", "function_call", "audio", "prefix"});
  if (const auto read = fields.finish(); !read) parent.fail(read.error());
  return message;
}

}  // namespace

void read_messages(Fields& fields, std::vector<ChatMessage>& out) {
  const Json* messages = fields.value("messages");
  if (messages == nullptr) return fields.fail("messages", "\"messages\" is missing; it is the conversation to answer");
  if (!messages->is_array() || messages->empty() || messages->size() > kMaxMessages) {
    return fields.fail("messages", "\"messages\" must be a list of 1 to " + std::to_string(kMaxMessages) + " messages");
  }
  for (std::size_t i = 0; i < messages->size() && !fields.failed(); ++i) {
    out.push_back(read_message(fields, (*messages)[i], "messages[" + std::to_string(i) + "]"));
  }
}

}  // namespace headwater::gateway
