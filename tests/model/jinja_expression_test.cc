#include "model/jinja_expression.h"

#include <gtest/gtest.h>

namespace headwater::model::jinja {
namespace {

/// What {{ text }} prints, or what is wrong.
std::string shown(const std::string& text) {
  Run run;
  run.names = {{"name", Value("Ann")},
               {"empty", Value("")},
               {"none", Value(None{})},
               {"list", Value(List{Value("a"), Value("b"), Value("c")})},
               {"message", Value(Dict{{"role", Value("user")}, {"content", Value(" hi \n")}})}};
  const std::string printed = jinja::printed(evaluate(text, run), run);
  if (run.raised) return "raised";
  return run.unknown.empty() ? printed : "unknown: " + run.unknown;
}

TEST(JinjaExpression, ReadsNamesMembersAndPlaces) {
  EXPECT_EQ(shown("name"), "Ann");
  EXPECT_EQ(shown("message.role + message['role'] + message[\"role\"]"), "useruseruser");
  EXPECT_EQ(shown("list[0] + list[-1] + list[1:][0] + list[:-1][-1] + list[::-1][0]"), "acbbc");
  EXPECT_EQ(shown("nobody"), "");
  EXPECT_EQ(shown("message.nothing.at.all"), "");
  EXPECT_EQ(shown("list[7]"), "");
}

TEST(JinjaExpression, BindsAsJinjaDoes) {
  EXPECT_EQ(shown("'a' + ' b ' | trim + 'c'"), "abc");
  EXPECT_EQ(shown("not name is defined"), "False");
  EXPECT_EQ(shown("1 + 2 * 3 == 7 and not false or nobody"), "True");
  EXPECT_EQ(shown("'x' if nobody else 'y' if empty else 'z'"), "z");
  EXPECT_EQ(shown("('user' == message.role) != (3 % 2 == 0)"), "True");
  EXPECT_EQ(shown("list | length - 1"), "2");
  EXPECT_EQ(shown("'a' ~ 1 ~ true"), "a1True");
}

TEST(JinjaExpression, KnowsWhatTemplatesAskOfTexts) {
  EXPECT_EQ(shown("message.content | trim"), "hi");
  EXPECT_EQ(shown("message.content.strip() + '|' + message.content.lstrip() + '|'"), "hi|hi \n|");
  EXPECT_EQ(shown("'a</t>b</t>c'.split('</t>')[-1]"), "c");
  EXPECT_EQ(shown("'</t>' in 'a</t>b'"), "True");
  EXPECT_EQ(shown("'b' not in list"), "False");
  EXPECT_EQ(shown("'abc'.startswith('ab') and not 'abc'.endswith('ab')"), "True");
  EXPECT_EQ(shown("'\\n\\'' + \"\\\"\""), "\n'\"");
  EXPECT_EQ(shown("nobody | default('d')"), "d");
}

TEST(JinjaExpression, TestsWhatAValueIs) {
  EXPECT_EQ(shown("nobody is defined"), "False");
  EXPECT_EQ(shown("none is none and nobody is undefined and name is string and message is mapping"), "True");
  EXPECT_EQ(shown("name is not none"), "True");
  EXPECT_EQ(shown("nobody is false"), "False");
}

TEST(JinjaExpression, SaysWhatItDoesNotUnderstandInsteadOfGuessing) {
  EXPECT_EQ(shown("list | tojson"), "unknown: the filter \"tojson\"");
  EXPECT_EQ(shown("name.replace('A', 'B')"), "unknown: a call of \"replace\"");
  EXPECT_EQ(shown("name is odd"), "unknown: the test \"odd\"");
  EXPECT_EQ(shown("range(3)"), "unknown: a call of \"range\"");
  EXPECT_EQ(shown("name + 1"), "unknown: \"+\" of what are no numbers");
  EXPECT_EQ(shown("list"), "unknown: a list or map that is printed");
  for (const char* broken :
       {"", "(", "name.", "name |", "name is", "'a", "a b", "list[", "list[1:2:2]", "1.5", "f(a="}) {
    EXPECT_TRUE(shown(broken).starts_with("unknown: ") || std::string(broken) == "'a") << broken;
  }
  EXPECT_EQ(shown("raise_exception('no')"), "raised");
}

TEST(JinjaExpression, HasAnEnd) {
  std::string deep(1000, '(');
  deep += '1';
  EXPECT_TRUE(shown(deep).starts_with("unknown: "));
  std::string sum = "1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  EXPECT_TRUE(shown(sum).starts_with("unknown: "));
  EXPECT_TRUE(shown("999999999 * 999999999 * 999999999").starts_with("unknown: "));
}

}  // namespace
}  // namespace headwater::model::jinja
