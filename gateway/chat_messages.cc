// The field `messages` of a conversation, the same in every dialect that takes one.

#include "gateway/openai_chat.h"

namespace headwater::gateway {
namespace {

constexpr std::size_t kMaxMessages = 4096;

void read_part(Fields& message, const Json& part, const std::string& place, std::string& out) {
  const std::string name = message.path(place);
  if (!part.is_object()) return message.fail(place, in_quotes(name) + " must be an object with \"type\" and \"text\"");
  std::string type;
  Fields fields(part, name + ".");
  fields.read("type", type);
  if (!fields.failed() && type != "text") {
    return message.fail(
        place + ".type",
        in_quotes(name + ".type") + " is " + in_quotes(type.substr(0, 64)) + "; this model takes only \"text\"",
        ErrorCode::unsupported_parameter);
  }
  if (fields.value("text") == nullptr) fields.fail("text", in_quotes(name + ".text") + " is missing");
  std::string text;
  fields.read("text", text);
  fields.accept({"cache_control"});
  if (const auto read = fields.finish(); !read) return message.fail(read.error());
  out += text;
}

void read_content(Fields& fields, ChatMessage& message) {
  const Json* content = fields.value("content");
  if (content == nullptr) {
    return fields.fail("content", in_quotes(fields.path("content")) + " is missing; it is the text of the message");
  }
  if (!content->is_array()) return fields.read("content", message.content);
  for (std::size_t i = 0; i < content->size() && !fields.failed(); ++i) {
    read_part(fields, (*content)[i], "content[" + std::to_string(i) + "]", message.content);
  }
}

Result<ChatMessage> read_message(const Json& value, const std::string& path) {
  if (!value.is_object()) {
    return Error{ErrorCode::invalid_request, in_quotes(path) + " must be an object with \"role\" and \"content\"",
                 path};
  }
  ChatMessage message;
  Fields fields(value, path + ".");
  fields.read("role", message.role);
  if (message.role == "developer") message.role = "system";  // OpenAI's newer name for it
  if (message.role != "system" && message.role != "user" && message.role != "assistant") {
    fields.fail("role", in_quotes(path + ".role") + " must be \"system\", \"user\" or \"assistant\"");
  }
  read_content(fields, message);
  fields.accept({"name", "refusal", "annotations", "reasoning_content"});
  fields.refuse({"tool_calls", "tool_call_id", "function_call", "audio", "prefix"});
  if (const auto read = fields.finish(); !read) return read.error();
  return message;
}

}  // namespace

void read_messages(Fields& fields, std::vector<ChatMessage>& out) {
  const Json* messages = fields.value("messages");
  if (messages == nullptr) return fields.fail("messages", "\"messages\" is missing; it is the conversation to answer");
  if (!messages->is_array() || messages->empty() || messages->size() > kMaxMessages) {
    return fields.fail("messages", "\"messages\" must be a list of 1 to " + std::to_string(kMaxMessages) + " messages");
  }
  for (std::size_t i = 0; i < messages->size(); ++i) {
    auto message = read_message((*messages)[i], "messages[" + std::to_string(i) + "]");
    if (!message) return fields.fail(message.error());
    out.push_back(std::move(*message));
  }
}

}  // namespace headwater::gateway
