#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 writes, set up as `transformers` sets it up; see tests/templates for whole templates of models.
constexpr Case kOperators[] = {
    {"{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ "
     "2 ** -1 }}",
     "3 3 -4 1 2 3.5 3.0 1024 0.5"},
    {"{{ 1.5 + 1 }} {{ 1e20 }} {{ 1e16 }} {{ 123456789012345.0 }} {{ 0.1 + 0.2 }} {{ 0.00001 }} {{ -0.0 }} {{ 7.5 // 2 "
     "}} {{ 7.5 % -2 }} {{ 1_000 }} {{ 0x1f }}",
     "2.5 1e+20 1e+16 123456789012345.0 0.30000000000000004 1e-05 -0.0 3.0 -0.5 1000 31"},
    {"{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x'] ~ {'k': (1,)} }}", "a1NoneTrue1.0[1, 'x']{'k': (1,)}"},
    {"{{ 'ab' * 3 }}{{ 2 * [1, 2] }}{{ [1] + [2] }}{{ (1,) + (2, 3) }}", "ababab[1, 2, 1, 2][1, 2](1, 2, 3)"},
    {"{{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 1 }} {{ none == false }} {{ [1, 2] == [1, 2.0] }} {{ {'a': 1} == {'a': "
     "1} }} {{ 1 != 2 }}",
     "True True False False True True True"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ [1, 2] < [1, 3] }} {{ 'é' > 'z' }}",
     "True False True True True True"},
    {"{{ 1 in [1, 2] }} {{ 'el' in 'Hello' }} {{ 'name' in person }} {{ 5 not in numbers }} {{ 'x' in undefined_thing "
     "}}",
     "True True True True False"},
    {"{{ not true or true and false }} {{ 0 or 'x' }} {{ '' and 1 }}|{{ 1 and 'y' }} {{ not '' }} {{ not not 1 }}",
     "False x |y True True"},
    {"{{ 'yes' if yes else 'no' }} {{ 'yes' if nothing }}| {{ 1 if false else 2 if false else 3 }}", "yes | 3"},
    {"{{ +n }} {{ -n }} {{ - 2 ** 2 }} {{ (1, 2) }} {{ () }} {{ (1,) }} {{ 1, 2 }}", "3 -3 4 (1, 2) () (1,) (1, 2)"},
    {"{{ 'a' 'b' \"c\" }} {{ \"\\x41\\u00e9\\n\\t\\\\\\'\\q\\101\" }}", "abc Aé\n\t\\'\\qA"},
    {"{{ n is odd }} {{ n is divisibleby 3 }} {{ n is not even }} {{ x is float }} {{ yes is integer }} {{ yes is "
     "number }} {{ yes is boolean }}",
     "True True True True False True True"},
    {"{{ missing is defined }} {{ name is string }} {{ person is mapping }} {{ words is sequence }} {{ words is "
     "iterable }} {{ name is sequence }} {{ 3 is iterable }} {{ nothing is none }} {{ range is callable }}",
     "False True True True True True False True True"},
    {"{{ 'a' is in ['a'] }} {{ 1 is eq 1 }} {{ 1 is sameas 1 }} {{ yes is true }} {{ 1 is true }} {{ 'A' is upper }} "
     "{{ 'ab' is lower }} {{ missing is undefined }}",
     "True True True True False True True True"},
};

TEST(JinjaOperators, GiveWhatPythonGives) {
  for (const Case& c : kOperators) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

}  // namespace
}  // namespace headwater::model::jinja
