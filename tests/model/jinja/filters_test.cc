#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 writes, set up as `transformers` sets it up; see tests/templates for whole templates of models.
constexpr Case kFilters[] = {
    {"{{ words | length }} {{ name | length }} {{ person | count }} {{ missing | length }} {{ text | trim }}| {{ "
     "'xxaxx' | trim('x') }} {{ 5 | string + '1' }}",
     "3 3 3 0 Hello\tWorld| a 51"},
    {"{{ name | upper }} {{ name | lower }} {{ 'straße ÀÉ ω' | upper }} {{ 'hELLO wORLD' | capitalize }} {{ 'hello "
     "big-world (foo)' | title }} {{ 'ÄÖ ЯГ' | lower }}",
     "ZOË zoë STRASSE ÀÉ Ω Hello world Hello Big-World (Foo) äö яг"},
    {"{{ words | join(', ') }} {{ words | join }} {{ people | join('/', attribute='name') }} {{ [1, none, 2.0] | "
     "join('-') }}",
     "b, a, C baC Ann/bob 1-None-2.0"},
    {"{{ words | first }} {{ words | last }} {{ empty | first }}| {{ words | reverse | list }} {{ name | reverse }} {{ "
     "name | list }} {{ person | list }}",
     "b C | ['C', 'a', 'b'] ëoZ ['Z', 'o', 'ë'] ['name', 'items', 'age']"},
    {"{{ words | sort }} {{ words | sort(reverse=true) }} {{ words | sort(case_sensitive=true) }} {{ people | "
     "sort(attribute='age') | map(attribute='name') | list }} {{ numbers | unique | list }} {{ numbers | min }} {{ "
     "numbers | max }} {{ words | max }}",
     "['a', 'b', 'C'] ['C', 'b', 'a'] ['C', 'a', 'b'] ['bob', 'Ann'] [3, 1, 2] 1 3 C"},
    {"{{ person | dictsort }} {{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': "
     "1, 'a': 2} | dictsort(reverse=true) }} {% for k, v in person | items %}{{ k }},{% endfor %}",
     "[('age', 41), ('items', [1, 2]), ('name', 'Ann')] [('A', 2), ('b', 1)] [('b', 1), ('a', 2)] [('b', 1), ('a', 2)] "
     "name,items,age,"},
    {"{{ missing | default('d') }} {{ '' | default('d') }}| {{ '' | d('d', true) }} {{ nothing | default('d') }} {{ "
     "missing | default }}|",
     "d | d None |"},
    {"{{ '42' | int }} {{ '4.7' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 'ff' | int(base=16) }} {{ '2.50' | "
     "float }} {{ 3 | float }} {{ 2.5 | round }} {{ 3.14159 | round(2) }} {{ 2.1 | round(method='ceil') }} {{ -3 | abs "
     "}} {{ 3.9 | int }}",
     "42 4 0 7 255 2.5 3.0 2.0 3.14 3.0 3 3"},
    {"{{ 'a-b-c' | replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'abc' | replace('', '.') }} {{ "
     "'line1\\nline2\\n\\nline4' | indent }}| {{ 'a\\nb' | indent(2, true) }}| {{ 'a\\nb' | indent('> ') }} {{ "
     "'a\\n\\nb' | indent(1, blank=true) }}",
     "a+b+c bba .a.b.c. line1\n    line2\n\n    line4|   a\n  b| a\n> b a\n \n b"},
    {"{{ people | selectattr('age', 'gt', 10) | map(attribute='name') | list }} {{ people | rejectattr('city') | list "
     "| length }} {{ numbers | select('odd') | list }} {{ numbers | reject('equalto', 3) | list }} {{ [0, 1, ''] | "
     "select | list }} {{ words | map('upper') | join }} {{ numbers | map('string') | list }}",
     "['Ann'] 1 [3, 1, 3] [1, 2] [1] BAC ['3', '1', '2', '3']"},
    {"{{ person | tojson }} {{ quoted | tojson }} {{ [1.0, none, true, 'é', 1e100] | tojson }} {{ {'a': {'b': []}, "
     "'c': {}} | tojson(indent=2) }} {{ {'b': 1, 'a': [1, 2]} | tojson(sort_keys=true, separators=(',', ':')) }} {{ "
     "'é🙂' | tojson(ensure_ascii=true) }} {{ {1: 2, none: 3, true: 4} | tojson }} {{ [[1, [2]], 3] | "
     "tojson(indent='--') }}",
     "{\"name\": \"Ann\", \"items\": [1, 2], \"age\": 41} \"it's \\\"so\\\" \\\\ \\n\\u0001é\" [1.0, null, true, "
     "\"é\", 1e+100] {\n  \"a\": {\n    \"b\": []\n  },\n  \"c\": {}\n} {\"a\":[1,2],\"b\":1} "
     "\"\\u00e9\\ud83d\\ude42\" {\"1\": 4, \"null\": 3} [\n--[\n----1,\n----[\n------2\n----]\n--],\n--3\n]"},
    {"{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }} {{ '<a href=\"x\">\\'&' | escape }} "
     "{{ ('<' | safe) + '<' }} {{ '%s is %d and %.2f%%' | format('x', 3, 2.5) }} {{ 'the quick brown fox' | "
     "truncate(12) }} {{ 'the quick brown fox' | truncate(12, true, '..') }} {{ 'one two, three' | wordcount }} {{ "
     "'ab' | center(6) }}|",
     "[[1, 2], [3, 4], [5]] [[1, 2], [3, 0]] &lt;a href=&#34;x&#34;&gt;&#39;&amp; <&lt; x is 3 and 2.50% the... the "
     "quick .. 3   ab  |"},
    {"{{ nothing | selectattr('a') | list }} {{ person | attr('items') is defined }}", "[] True"},
};

TEST(JinjaFilters, WriteWhatJinjaWrites) {
  for (const Case& c : kFilters) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

}  // namespace
}  // namespace headwater::model::jinja
