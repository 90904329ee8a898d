// The field `messages` of a conversation, the same in every dialect that takes one.

#include <algorithm>

#include "gateway/json_slices.h"
#include "gateway/openai_chat.h"

namespace headwater::gateway {
namespace {

constexpr std::size_t kMaxMessages = 4096;
constexpr std::size_t kMaxTools = 1024;

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
  if (role == "system" || role == "user" || role == "assistant" || role == "tool") return;
  if (role == "function") {
    return fields.fail(
        "role", in_quotes(fields.path("role")) + " is \"function\", an older name; send what it said as \"tool\"",
        ErrorCode::unsupported_parameter);
  }
  fields.fail("role", in_quotes(fields.path("role")) + " must be \"system\", \"user\", \"assistant\" or \"tool\"");
}

bool names_function(const Json& call) {
  const auto function = call.is_object() ? call.find("function") : call.end();
  if (!call.is_object() || function == call.end() || !function->is_object()) return false;
  const auto name = function->find("name");
  return name != function->end() && name->is_string();
}

void check_calls(Fields& fields, const ChatMessage& message) {
  const Json* calls = fields.value("tool_calls");
  if (calls == nullptr || (calls->is_array() && calls->empty())) return;
  const bool named = calls->is_array() && std::ranges::all_of(*calls, names_function);
  if (!named) {
    fields.fail("tool_calls", in_quotes(fields.path("tool_calls")) +
                                  " must be a list of calls, each with a \"function\" that has a \"name\"");
  }
  if (message.role != "assistant") {
    fields.fail("tool_calls", in_quotes(fields.path("tool_calls")) + " belongs to a message of the role \"assistant\"");
  }
}

/// What the model's template may ask of a message beside its role and content.
void read_more(Fields& fields, ChatMessage& message) {
  check_calls(fields, message);
  std::string more;
  const auto add = [&](const char* name, const std::string& json) {
    if (json.empty()) return;
    more += more.empty() ? '{' : ',';
    more.append(in_quotes(name)).append(":").append(json);
  };
  for (const char* name : {"name", "tool_call_id", "reasoning_content", "reasoning", "tool_calls"}) {
    const Json* value = fields.value(name);
    const bool nothing = value == nullptr || (value->is_array() && value->empty());
    if (!nothing && std::string_view(name) != "tool_calls" && !value->is_string()) {
      return fields.fail_type(name, "a string", *value);
    }
    if (!nothing) add(name, fields.raw(name));
  }
  // An assistant that only calls has said nothing: that is null, by which templates tell.
  const bool calls = more.find("\"tool_calls\":") != std::string::npos;
  if (calls && fields.value("content") == nullptr) add("content", "null");
  if (!more.empty()) more += '}';
  message.more = std::move(more);
}

/// `text`: what the message was read from, if that is known.
ChatMessage read_message(Fields& parent, const Json& value, const std::string& place, std::string_view text) {
  ChatMessage message;
  if (!value.is_object()) {
    parent.fail(place, in_quotes(parent.path(place)) + " must be an object with \"role\" and \"content\"");
    return message;
  }
  Fields fields = parent.nested(place, value);
  fields.read_from(text);
  read_role(fields, message.role);
  read_content(fields, message);
  read_more(fields, message);
  fields.accept({"refusal", "annotations"});
  fields.refuse({"function_call", "audio", "prefix"});
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
  const std::string text = fields.raw("messages");
  const std::vector<std::string_view> texts = json_elements(text);
  for (std::size_t i = 0; i < messages->size() && !fields.failed(); ++i) {
    out.push_back(read_message(fields, (*messages)[i], "messages[" + std::to_string(i) + "]",
                               i < texts.size() ? texts[i] : std::string_view()));
  }
}

void read_chat_options(Fields& fields, ChatOptions& out) {
  if (const Json* tools = fields.value("tools"); tools != nullptr && !(tools->is_array() && tools->empty())) {
    const bool named = tools->is_array() && tools->size() <= kMaxTools && std::ranges::all_of(*tools, names_function);
    if (!named) {
      fields.fail("tools", in_quotes(fields.path("tools")) + " must be a list of at most " + std::to_string(kMaxTools) +
                               " tools, each with a \"function\" that has a \"name\"");
    }
    out.tools = fields.raw("tools");
  }
  const Json* variables = fields.value("chat_template_kwargs");
  if (variables == nullptr) return;
  if (!variables->is_object()) return fields.fail_type("chat_template_kwargs", "an object", *variables);
  if (!variables->empty()) out.variables = fields.raw("chat_template_kwargs");
}

void refuse_chat_options(Fields& fields) { fields.refuse({"tools", "chat_template_kwargs"}); }

}  // namespace headwater::gateway
