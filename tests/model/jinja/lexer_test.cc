#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 writes, set up as `transformers` sets it up; see tests/templates for whole templates of models.
constexpr Case kWhite[] = {
    {"  {% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb"},
    {"{% for i in [1, 2] %}\n  {{ i }}\n{% endfor %}\n", "  1\n  2\n"},
    {"a  \n  {%- if true -%}  \n b \n {%- endif -%} \n c", "abc"},
    {"a\n  {%+ if true %} b{% endif +%}\nc", "a\n   b\nc"},
    {"x {{- 1 -}} y\n  {{ 2 }}\n", "x1y\n  2"},
    {"  {# c #}\na\n {#- d -#} \nb", "ab"},
    {"a\r\nb\rc\n\n", "a\nb\nc\n"},
    {"{%- set x = 1 %}\n\n{{ x }}\n\n", "\n1\n"},
    {"   {{ 1 }}   {% set y = 2 %}  \n{{ y }}", "   1     \n2"},
    {"{% raw -%}  a {%- endraw %}  b", "a  b"},
    {"\n{% if true %}\n\n{% endif %}\n", "\n\n"},
    {"a{% if true %} \nb{% endif %}", "a \nb"},
    {"{{ {'a': {'b': 1}} }}{{ '}}' }}{{ \"%}\" }}", "{'a': {'b': 1}}}}%}"},
    {"\t{% if true %}\tx\n\t{% endif %}y", "\tx\ny"},
};

TEST(JinjaLexer, TakesOffTheWhiteSpaceThatJinjaTakesOff) {
  for (const Case& c : kWhite) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

}  // namespace
}  // namespace headwater::model::jinja
