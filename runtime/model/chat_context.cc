#include "model/chat_context.h"

#include <algorithm>

#include "model/jinja/json_reader.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

using jinja::Dict;
using jinja::Origin;
using jinja::Value;
using Kind = Value::Kind;

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool", "function"};
constexpr std::string_view kOurs[] = {"messages",     "tools",     "documents", "add_generation_prompt",
                                      "bos_token",    "eos_token", "unk_token", "raise_exception",
                                      "strftime_now", "namespace"};

constexpr std::size_t kMostVariables = 64;

Error bad(const std::string& what, std::string param, ErrorCode code = ErrorCode::invalid_request) {
  return {code, what, std::move(param)};
}

Value text(std::string_view bytes, Origin origin) { return Value::string({std::string(bytes), origin}, nullptr); }

/// `dict` with another value for a key that it has.
Value with(const Value& dict, std::string_view key, const Value& value) {
  std::vector<Dict::Entry> entries = dict.dict().entries();
  for (Dict::Entry& entry : entries) {
    if (entry.first.bytes() == key) entry.second = value;
  }
  return jinja::make_dict(std::move(entries), nullptr, dict.origin());
}

/// A call with its arguments as an object, where it has them as JSON in a string.
Value with_arguments_read(const Value& call) {
  if (!call.is(Kind::dict)) return call;
  const Value* function = call.dict().find("function");
  if (function == nullptr || !function->is(Kind::dict)) return call;
  const Value* arguments = function->dict().find("arguments");
  if (arguments == nullptr || !arguments->is(Kind::string)) return call;
  const auto read = jinja::read_json(arguments->text().empty() ? "{}" : arguments->bytes(), nullptr);
  if (!read || !read->is(Kind::dict)) return call;
  return with(call, "function", with(*function, "arguments", *read));
}

Value calls_read(const Value& calls) {
  if (!calls.is(Kind::list)) return calls;
  jinja::Values read;
  for (const Value& call : calls.list().items) read.push_back(with_arguments_read(call));
  return jinja::make_list(std::move(read), nullptr, calls.origin());
}

/// Reads JSON that must be of this kind.
Result<Value> read_as(std::string_view json, Kind kind, const std::string& param) {
  auto value = jinja::read_json(json, nullptr);
  if (!value) return bad(param + " is " + value.error().message, param);
  if (!value->is(kind)) return bad(param + " must be JSON's " + (kind == Kind::list ? "list" : "object"), param);
  return value;
}

Result<Value> message_value(const ChatMessage& message, const std::string& place) {
  const bool known = std::ranges::find(kRoles, message.role) != std::end(kRoles);
  std::vector<Dict::Entry> entries;
  const auto add = [&](std::string_view name, Value value) {
    entries.emplace_back(text(name, Origin::data), std::move(value));
  };
  add("role", text(message.role, known ? Origin::written : Origin::data));
  add("content", text(message.content, Origin::data));
  if (!message.more.empty()) {
    const auto more = read_as(message.more, Kind::dict, place);
    if (!more) return more.error();
    for (const auto& [name, value] : more->dict().entries()) {
      if (name.bytes() == "role") continue;
      add(name.bytes(), name.bytes() == "tool_calls" ? calls_read(value) : value);
    }
  }
  return jinja::make_dict(std::move(entries), nullptr, Origin::data);
}

Result<Value> message_values(const jinja::Template& chat, std::span<const ChatMessage> messages) {
  jinja::Values values;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string place = "messages[" + std::to_string(i) + "]";
    auto value = message_value(messages[i], place);
    if (!value) return value;
    const Value* calls = value->dict().find("tool_calls");
    if (calls != nullptr && jinja::truthy(*calls) && !chat.mentions("tool_calls")) {
      return bad(place + ".tool_calls: this model's chat template has no place for calls of tools",
                 place + ".tool_calls", ErrorCode::unsupported_parameter);
    }
    values.push_back(std::move(*value));
  }
  return jinja::make_list(std::move(values), nullptr, Origin::data);
}

}  // namespace

Result<jinja::Variables> chat_context(const jinja::Template& chat, std::span<const ChatMessage> messages,
                                      const ChatOptions& options) {
  if (messages.empty()) return bad("messages is empty; send at least one", "messages");
  jinja::Variables variables = {{"tools", Value::none()}, {"documents", Value::none()}};
  if (!options.variables.empty()) {
    const std::string param = "chat_template_kwargs";
    const auto given = read_as(options.variables, Kind::dict, param);
    if (!given) return given.error();
    if (given->dict().entries().size() > kMostVariables) {
      return bad(param + " has more than " + std::to_string(kMostVariables) + " names", param);
    }
    for (const auto& [name, value] : given->dict().entries()) {
      if (std::ranges::find(kOurs, name.bytes()) != std::end(kOurs)) {
        return bad(param + "." + name.bytes() + " is what this server gives to templates; leave it out",
                   param + "." + name.bytes());
      }
      variables.emplace_back(name.bytes(), value);
    }
  }
  if (!options.tools.empty()) {
    const auto tools = read_as(options.tools, Kind::list, "tools");
    if (!tools) return tools.error();
    if (jinja::truthy(*tools) && !chat.mentions("tools")) {
      return bad("this model's chat template has no place for \"tools\"; describe them in a \"system\" message",
                 "tools", ErrorCode::unsupported_parameter);
    }
    if (jinja::truthy(*tools)) variables.emplace_back("tools", *tools);
  }
  auto list = message_values(chat, messages);
  if (!list) return list.error();
  variables.emplace_back("messages", std::move(*list));
  variables.emplace_back("add_generation_prompt", Value::boolean(options.open_answer));
  return variables;
}

}  // namespace headwater::model
