#include "model/builtin_templates.h"

#include <algorithm>
#include <iterator>

namespace headwater::model {
namespace {

constexpr std::string_view kChatMl = R"jinja(
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
)jinja";

constexpr std::string_view kLlama3 = R"jinja(
{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
)jinja";

/// Models of the next two know turns of user and assistant alone: what the system says stands in front of the first.
constexpr std::string_view kAlternating = R"jinja(
{{- bos_token }}
{%- set system = '' %}
{%- set turns = messages %}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content + '\n\n' %}
    {%- set turns = messages[1:] %}
{%- endif %}
{%- if not turns %}{{ raise_exception('messages has no user message; the model needs one') }}{% endif %}
{%- for message in turns %}
    {%- if message.role != ('user' if loop.index0 is even else 'assistant') %}
        {{- raise_exception('roles must alternate: user, assistant, user, …') }}
    {%- endif %})jinja";

constexpr std::string_view kGemma = R"jinja(
    {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\n' }}
    {{- (system if loop.first else '') + message.content | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %}
)jinja";

constexpr std::string_view kMistral = R"jinja(
    {%- if message.role == 'user' %}
        {{- '[INST]' + (system if loop.first else '') + message.content + '[/INST]' }}
    {%- else %}
        {{- message.content | trim + eos_token }}
    {%- endif %}
{%- endfor %}
)jinja";

struct Builtin {
  std::string_view name, beginning, rest;
};
constexpr Builtin kTemplates[] = {{"chatml", "", kChatMl},
                                  {"llama3", "", kLlama3},
                                  {"gemma", kAlternating, kGemma},
                                  {"mistral", kAlternating, kMistral}};

}  // namespace

std::string builtin_template(std::string_view name) {
  const auto* found = std::ranges::find(kTemplates, name, &Builtin::name);
  if (found == std::end(kTemplates)) return {};
  return std::string(found->beginning).append(found->rest);
}

}  // namespace headwater::model
