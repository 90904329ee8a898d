#include "model/jinja/template.h"

#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 says as it fails.
constexpr Case kErrors[] = {
    {"{{ missing.attribute }}", "'missing' is undefined"},
    {"{{ 'a' + 1 }}", "can only concatenate str (not \"int\") to str"},
    {"{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'"},
    {"{{ none + 1 }}", "unsupported operand type(s) for +: 'NoneType' and 'int'"},
    {"{{ [1] + 'a' }}", "can only concatenate list (not \"str\") to list"},
    {"{{ missing + 1 }}", "'missing' is undefined"},
    {"{{ person.missing.deeper }}", "'dict object' has no attribute 'missing'"},
    {"{{ words.append(1) }}", "access to attribute 'append' of 'list' object is unsafe."},
    {"{{ person.update({}) }}", "access to attribute 'update' of 'dict' object is unsafe."},
    {"{{ person.pop('name') }}", "access to attribute 'pop' of 'dict' object is unsafe."},
    {"{{ 1 / 0 }}", "division by zero"},
    {"{{ 1 // 0 }}", "integer division or modulo by zero"},
    {"{{ 'a' < 1 }}", "'<' not supported between instances of 'str' and 'int'"},
    {"{{ none | length }}", "object of type 'NoneType' has no len()"},
    {"{{ 5 | length }}", "object of type 'int' has no len()"},
    {"{% for x in none %}{% endfor %}", "'NoneType' object is not iterable"},
    {"{% for x in 5 %}{% endfor %}", "'int' object is not iterable"},
    {"{% for a, b in [1] %}{% endfor %}", "cannot unpack non-iterable int object"},
    {"{% for a, b in [[1, 2, 3]] %}{% endfor %}", "too many values to unpack (expected 2)"},
    {"{{ missing() }}", "'missing' is undefined"},
    {"{{ n() }}", "'int' object is not callable"},
    {"{{ nothing[1:] }}", "'NoneType' object is not subscriptable"},
    {"{{ person[1:] }}", "unhashable type: 'slice'"},
    {"{{ range(200000) }}", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."},
    {"{{ 'x' in 5 }}", "argument of type 'int' is not iterable"},
    {"{{ 1 in 'abc' }}", "'in <string>' requires string as left operand, not int"},
    {"{{ raise_exception('in the template\\'s own words') }}", "in the template's own words"},
    {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "macro 'm' takes not more than 1 argument(s)"},
    {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "macro 'm' takes no keyword argument 'b'"},
    {"{{ {[1]: 2} }}", "unhashable type: 'list'"},
    {"{{ missing | tojson }}", "Object of type Undefined is not JSON serializable"},
    {"{{ words | map('upper') | length }}", "object of type 'generator' has no len()"},
    {"{{ ''.join([1]) }}", "sequence item 0: expected str instance, int found"},
    {"{{ 'a'.index('b') }}", "substring not found"},
    {"{{ 'a'.split('') }}", "empty separator"},
    {"{{ -'a' }}", "bad operand type for unary -: 'str'"},
    {"{% set n.a = 1 %}", "cannot assign attribute on non-namespace object"},
    {"{{ '{} {}'.format(1) }}", "tuple index out of range"},
    {"{{ '%d' % 'a' }}", "%d format: a real number is required, not str"},
    {"{{ (1 if false).a }}", "the inline if-expression on line 1 evaluated to false and no else section was defined."},
    {"{{ nothing.strip() }}", "'None' has no attribute 'strip'"},
    {"{{ people[0].nope.strip() }}", "'dict object' has no attribute 'nope'"},
    {"{{ [1, 'a'] | sort }}", "'<' not supported between instances of 'str' and 'int'"},
};

TEST(JinjaTemplate, FailsWhereJinjaFailsAndSaysWhatItSays) {
  for (const Case& c : kErrors) {
    const std::string said = rendered(c.source);
    ASSERT_TRUE(said.starts_with("error: ")) << c.source << " wrote " << said;
    EXPECT_TRUE(said.ends_with(c.expected)) << c.source << " said " << said;
  }
}

TEST(JinjaTemplate, RaisesInItsOwnWordsAlone) {
  EXPECT_EQ(rendered("\n{{ raise_exception('Only user and assistant, ' ~ name) }}"),
            "error: Only user and assistant, Zoë");
  const auto text = render("{{ raise_exception('no') }}", {});
  EXPECT_EQ(text.error().code, ErrorCode::invalid_request);
}

TEST(JinjaTemplate, NamesTheLineWhereItFails) {
  EXPECT_EQ(rendered("a\n{% if true %}\n{{ missing.x }}\n{% endif %}"),
            "error: line 3 of the chat template: 'missing' is undefined");
  EXPECT_EQ(rendered("{% for w in words %}\n\n{% set x = w + 1 %}{% endfor %}"),
            "error: line 3 of the chat template: can only concatenate str (not \"int\") to str");
  EXPECT_EQ(rendered("\n{{ 'a' | nofilter }}"),
            "error: line 2 of the chat template: No filter named 'nofilter' found.");
}

std::string refusal(std::string_view source) {
  const auto parsed = Template::parse(source);
  if (parsed) return "it parsed";
  EXPECT_EQ(parsed.error().code, ErrorCode::invalid_model);
  return parsed.error().message;
}

TEST(JinjaTemplate, SaysWithTheLineWhatItCannotRead) {
  EXPECT_EQ(refusal("a\n{% for m in messages %}\n{{ m }}\n"),
            "line 3: expected {% endfor %} or {% else %}, found the end of the template");
  EXPECT_EQ(refusal("{% if a %}\n{% endfor %}"), "line 2: the statement \"endfor\" is not known or not expected here");
  EXPECT_EQ(refusal("\n\n{{ 'x"), "line 3: expected the end of the string that begins here");
  EXPECT_EQ(refusal("a {{ x "), "line 1: expected \"}}\", which ends the tag that begins here");
  EXPECT_EQ(refusal("a {# x "), "line 1: expected \"#}\", which ends the comment that begins here");
  EXPECT_EQ(refusal("{{ (1 + }}"), "line 1: unexpected \"}\"");
  EXPECT_EQ(refusal("{{ (1 + ) }}"), "line 1: expected a value, found \")\"");
  EXPECT_EQ(refusal("{{ a b }}"), "line 1: expected \"}}\", found \"b\"");
  EXPECT_EQ(refusal("{{ }}"), "line 1: expected an expression, found \"}}\"");
  EXPECT_EQ(refusal("{{ a ? b }}"), "line 1: unexpected \"?\"");
  EXPECT_EQ(refusal("{% break %}"), "line 1: \"break\" stands in no loop");
  EXPECT_EQ(refusal("{% include 'x' %}"), "line 1: the statement \"include\" is not known or not expected here");
  EXPECT_EQ(refusal("{% raw %}x"), "line 1: expected {% endraw %}, which ends what begins here");
  EXPECT_EQ(refusal("{{ 99999999999999999999 }}"), "line 1: a number beyond 64 bits: 99999999999999999999");
  EXPECT_NE(refusal(std::string((1 << 20) + 1, 'x')).find("the most are 1048576"), std::string::npos);
}

TEST(JinjaTemplate, KnowsTheWordsThatItsTagsHave) {
  const auto parsed = *Template::parse("tools {% if message.tool_calls and 'name' in x %}{% endif %}");
  EXPECT_TRUE(parsed->mentions("tool_calls"));
  EXPECT_TRUE(parsed->mentions("name"));
  EXPECT_FALSE(parsed->mentions("tools"));
}

/// A part so many times.
std::string times(const std::string& part, std::size_t n) {
  std::string all;
  for (std::size_t i = 0; i < n && all.size() < 1'000'000; ++i) all += part;
  return all;
}

TEST(JinjaTemplate, RefusesWhatNestsDeeplyBeforeItIsRun) {
  constexpr std::size_t kDeep = 100'000;
  for (const char* part : {"(", "[", "{1:", "-", "not ", "{% if x %}", "{% for a in b %}", "{% set a %}", "(a,"}) {
    const std::string opened = times(part, kDeep);
    EXPECT_NE(refusal(part[0] == '{' && part[1] == '%' ? opened : "{{ " + opened).find("line 1: "), std::string::npos)
        << part;
  }
  for (const char* part : {" + a", ".a", "[0]", "|trim", "()", " is defined and a", " ** a", " or a", "(1)"}) {
    EXPECT_NE(refusal("{{ a" + times(part, kDeep) + " }}").find("line 1: "), std::string::npos) << part;
  }
  EXPECT_NE(refusal("{{ " + times("a if b else ", kDeep) + "c }}").find("line 1: "), std::string::npos);
  EXPECT_EQ(rendered("{{ 'a'" + times(" ~ 'a'", 5000) + " }}").size(), 5001U) << "one after the other is no nesting";
}

/// Ends with an error of this server's, whatever it would take.
void expect_limit(std::string_view source) {
  const std::string said = rendered(source);
  EXPECT_NE(said.find("which is more than it may"), std::string::npos) << source << " gave " << said.substr(0, 200);
}

TEST(JinjaTemplate, EndsWhatWouldTakeForEver) {
  expect_limit("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}");
  expect_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
  expect_limit("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}");
  expect_limit(
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}"
      "{% set ns.m = [1] %}{% for i in range(99) %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}");
}

TEST(JinjaTemplate, EndsWhatWouldTakeAllMemory) {
  expect_limit("{{ 'x' * 10**9 }}");
  expect_limit("{{ 'x' * 10**18 }}");
  expect_limit("{{ [1] * 10**9 }}");
  expect_limit("{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}");
  expect_limit("{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}");
  expect_limit("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}");
  expect_limit(
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}");
  expect_limit(
      "{% set ns = namespace(l=[1]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | "
      "tojson }}");
  expect_limit("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}");
  expect_limit(
      "{% set ns = namespace(t=(1,)) %}{% for i in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {ns.t: 1} "
      "}}");
  expect_limit("{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}");
  expect_limit("{{ 'ab'.center(10**9) }}");
  expect_limit("{{ ('a' * 100000).replace('a', 'b' * 100000) }}");
  expect_limit("{{ ('a' * 100000) | replace('', 'b' * 100000) }}");
  expect_limit("{{ ['a'] | tojson(indent=10**9) }}");
  expect_limit("{{ '%999999999d' % 1 }}");
  expect_limit("{{ '{:999999999}'.format(1) }}");
  expect_limit("{{ ('x' * 1000000).join(range(10000) | map('string')) }}");
}

TEST(JinjaTemplate, LetsGoOfLongChainsOfValues) {
  // Each of these would hold the next, a hundred thousand of them.
  EXPECT_EQ(
      rendered("{% set ns = namespace() %}{% for i in range(50000) %}{% set ns.a = namespace(b=ns.a) %}{% endfor %}x"),
      "x");
  expect_limit("{% set ns = namespace(a=1) %}{% for i in range(50000) %}{% set ns.a = [ns.a] %}{% endfor %}");
  expect_limit("{% set ns = namespace(a=1) %}{% for i in range(50000) %}{% set ns.a = [ns.a].index %}{% endfor %}");
  EXPECT_EQ(
      rendered("{% set ns = namespace(a=1) %}{% for i in range(50000) %}{% for x in [ns.a] %}{% set ns.a = loop %}"
               "{% endfor %}{% endfor %}x"),
      "x");
  EXPECT_EQ(
      rendered("{% set ns = namespace(a=1) %}{% for i in range(20000) %}{% macro m(x=ns.a) %}{{ x }}{% endmacro %}"
               "{% set ns.a = m %}{% endfor %}x"),
      "x");
}

TEST(JinjaTemplate, BoundsWhatComputesBeyondItsNumbers) {
  expect_limit("{{ 9223372036854775807 + 1 }}");
  expect_limit("{{ 2 ** 63 }}");
  expect_limit("{{ 10 ** 1000000000 }}");
  expect_limit("{{ (-9223372036854775807 - 1) // -1 }}");
  EXPECT_EQ(rendered("{{ (-9223372036854775807 - 1) % -1 }} {{ 1 ** 1000000000000 }} {{ 0 ** 10000000000000 }}"),
            "0 1 0");
  EXPECT_EQ(rendered("{{ [1, 2, 3][-9223372036854775807:9223372036854775807:9223372036854775807] }}"), "[1]");
}

}  // namespace
}  // namespace headwater::model::jinja
