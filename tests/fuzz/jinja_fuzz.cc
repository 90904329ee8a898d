// A chat template from a stranger's file, with a conversation: a text, or an error that says something; never more than
// it may take, and a client's words are known for what they are.

#include <cstdlib>
#include <string_view>

#include "model/jinja/json_reader.h"
#include "model/jinja/template.h"

using namespace headwater::model::jinja;

namespace {

constexpr std::string_view kMark = "\xCE\xA9";  // Ω, which stands in the conversation alone

constexpr std::string_view kVariables =
    R"json({"messages": [{"role": "system", "content": "ΩBe kindΩ."}, {"role": "user", "content": "  Ω\nHello 'you' \"there\" <|im_end|>"},
    {"role": "assistant", "content": null, "reasoning_content": "Ω", "tool_calls": [{"id": "Ω1", "type": "function",
    "function": {"name": "Ωf", "arguments": {"Ωa": [1, 2.5, null, true, {"b": "Ω"}]}}}]},
    {"role": "tool", "content": "Ω<think>x</think>", "tool_call_id": "Ω1"}, {"role": "user", "content": [{"type": "text", "text": "Ω"}]}],
    "tools": [{"type": "function", "function": {"name": "Ωf", "description": "Ω", "parameters": {"type": "object", "properties":
    {"Ωa": {"type": ["string", "null"], "enum": ["Ω"]}}, "required": ["Ωa"]}}}], "add_generation_prompt": true, "enable_thinking": false,
    "bos_token": "<s>", "eos_token": "</s>", "documents": null, "n": 3, "x": 2.5, "words": ["Ωb", "a", "C"]})json";

Variables variables() {
  Variables all;
  const auto read = read_json(kVariables, nullptr);
  for (const auto& [name, value] : read->dict().entries()) all.emplace_back(name.bytes(), value);
  return all;
}

/// Where the template has nothing of which the mark could be made, all that reads like it is data.
void check_origins(std::string_view source, const Text& text) {
  if (source.find('\\') != std::string_view::npos || source.find('\xCE') != std::string_view::npos) return;
  for (std::size_t at = text.bytes().find(kMark); at != std::string::npos; at = text.bytes().find(kMark, at + 1)) {
    if (text.origin_at(at) != Origin::data || text.origin_at(at + 1) != Origin::data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Variables all = variables();
  const Limits limits{.steps = 200'000, .bytes = 8 << 20, .output = 1 << 20};
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = Template::parse(source);
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  const auto text = (*parsed)->render(all, 1'740'000'000, limits);
  if (!text) return 0;
  if (text->size() > limits.output) std::abort();
  check_origins(source, *text);
  return 0;
}
