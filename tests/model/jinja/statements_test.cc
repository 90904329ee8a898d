#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 writes, set up as `transformers` sets it up; see tests/templates for whole templates of models.
constexpr Case kStatements[] = {
    {"{% for w in words %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ "
     "loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('x', 'y') }};{% endfor %}",
     "1032TrueFalse3ax;2121FalseFalse3bCy;3210FalseTrue3ax;"},
    {"{% for n in numbers if n > 1 %}{{ n }}{{ loop.last }} {% else %}none{% endfor %}{% for n in empty %}x{% else "
     "%}none{% endfor %}{% for c in name %}{{ c }}.{% endfor %}{% for k in person %}{{ k }} {% endfor %}",
     "3False 2False 3True noneZ.o.ë.name items age "},
    {"{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% "
     "endfor %} {{ range(1, 10, 3) | list }} {{ range(3, 0, -1) | list }}",
     "0134 [1, 4, 7] [3, 2, 1]"},
    {"{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a + b + c "
     "}}{% endfor %}{% for n in numbers %}{{ loop.changed(n > 2) }}{% endfor %}",
     "12346TrueTrueFalseTrue"},
    {"{% set a = 1 %}{% for i in [1] %}{% set a = 2 %}{{ a }}{% endfor %}{{ a }}{% if true %}{% set a = 3 %}{% endif "
     "%}{{ a }}{% set b, c = 1, 2 %}{{ b }}{{ c }}",
     "21312"},
    {"{% set ns = namespace(total=0, list=[]) %}{% for n in numbers %}{% set ns.total = ns.total + n %}{% set ns.list "
     "= ns.list + [n] %}{% endfor %}{{ ns.total }} {{ ns.list }} {{ ns.missing is defined }} {{ namespace({'a': 1}, "
     "b=2) }}",
     "9 [3, 1, 2, 3] False <Namespace {'a': 1, 'b': 2}>"},
    {"{% set block %}a {{ n }} b{% endset %}{{ block }}|{% set up | upper | trim %} {{ block }} {% endset %}{{ up "
     "}}|{% filter upper %}x{{ n }}y{% endfilter %}",
     "a 3 b|A 3 B|X3Y"},
    {"{% macro greet(who, greeting='Hello', mark=greeting ~ '!') %}{{ greeting }} {{ who }}{{ mark }}{% endmacro %}{{ "
     "greet('Ann') }} {{ greet(who='Bob', greeting='Hi') }} {{ greet('C', mark='?') }} {{ greet() }}",
     "Hello AnnHello! Hi BobHi! Hello C? Hello Hello!"},
    {"{% macro f(n) %}{% if n > 1 %}{{ n * (f(n - 1) | int) }}{% else %}1{% endif %}{% endmacro %}{{ f(5) }} {{ later "
     "}}{% set later = 1 %}{% macro see() %}{{ later }}{% endmacro %}{% set later = 2 %}{{ see() }}",
     "120 2"},
    {"{% macro box(title) %}[{{ title }}: {{ caller() }}]{% endmacro %}{% call box('T') %}in{{ n }}{% endcall %} {% "
     "macro each(l) %}{% for i in l %}{{ caller(i, loop.index) }}{% endfor %}{% endmacro %}{% call(v, i) each(words) "
     "%}<{{ i }}{{ v }}>{% endcall %}",
     "[T: in3] <1b><2a><3C>"},
    {"{% macro rest() %}{{ varargs }} {{ kwargs }}{% endmacro %}{{ rest(1, 2, a=3) }} {% with a = 1, b = 2 %}{{ a + b "
     "}}{% endwith %}{{ b is defined }}",
     "(1, 2) {'a': 3} 3False"},
    {"{% generation %}said{% set inside = 1 %}{% endgeneration %}{{ inside is defined }} {% raw %}{{ x }} {% y %}{% "
     "endraw %} {# a {{ comment }} #}|",
     "saidFalse {{ x }} {% y %} |"},
    {"{% set j = joiner('; ') %}{% for w in words %}{{ j() }}{{ w }}{% endfor %} {{ dict(a=1, b=2) }} {{ dict([('x', "
     "1)], y=2) }}",
     "b; a; C {'a': 1, 'b': 2} {'x': 1, 'y': 2}"},
    {"{% if nothing %}a{% elif n == 3 %}b{% elif true %}c{% else %}d{% endif %} {% if not nothing and (words or "
     "missing) %}e{% endif %}",
     "b e"},
    {"{{ strftime_now('%Y-%m-%d %H:%M %d %b %Y') }}", "2025-02-19 21:20 19 Feb 2025"},
};

TEST(JinjaStatements, WriteWhatJinjaWrites) {
  for (const Case& c : kStatements) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

}  // namespace
}  // namespace headwater::model::jinja
