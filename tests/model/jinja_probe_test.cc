#include "model/jinja_probe.h"

#include <gtest/gtest.h>

#include <vector>

namespace headwater::model {
namespace {

const std::vector<ChatMessage> kTalk = {{"user", "a"}, {"assistant", "b"}, {"user", "c"}};

std::string shown(const std::string& jinja) {
  const ProbeResult result = probe_template(jinja, kTalk, "<s>", "</s>");
  if (result.raised) return "raised";
  return result.text ? *result.text : "unknown: " + result.unknown;
}

TEST(JinjaProbe, WritesAConversation) {
  EXPECT_EQ(shown("{{ bos_token }}{% for m in messages %}{{ m.role[0] }}{{ m.content }}{{ eos_token }}{% endfor %}"),
            "<s>a</s>b</s>c</s>")
      << "a text has no places";
  EXPECT_EQ(shown("{% if add_generation_prompt %}go{% else %}stop{% endif %}"), "go");
  EXPECT_EQ(
      shown("{% for m in messages %}{% if loop.first %}[{% elif loop.last %}]{% else %}{{ loop.index }}{% endif %}"
            "{% endfor %}"),
      "[2]");
}

TEST(JinjaProbe, TreatsWhiteSpaceAsTemplatesOfModelsExpectIt) {
  EXPECT_EQ(shown("a\n{% if true %}\n  b\n  {% endif %}\nc"), "a\n  b\nc");
  EXPECT_EQ(shown("a \n {%- if true -%} \n b {{- ' x ' -}} \n c{% endif %}"), "ab x c");
  EXPECT_EQ(shown("a{# not shown #}\nb"), "ab");
  EXPECT_EQ(shown("{{ 'a' }}\nb"), "a\nb");
  EXPECT_EQ(shown("{{ '}}' }}{{ \"%}\" }}"), "}}%}");
}

TEST(JinjaProbe, KeepsWhatALoopSetsInANamespaceOnly) {
  EXPECT_EQ(shown("{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{% endfor %}{{ x }}"), "1");
  EXPECT_EQ(
      shown("{% set ns = namespace(x=1) %}{% for m in messages %}{% set ns.x = ns.x + 1 %}{% endfor %}{{ ns.x }}"),
      "4");
}

TEST(JinjaProbe, PassesOverBranchesThatAreNotTaken) {
  EXPECT_EQ(shown("{% macro f(x) %}{{ x | tojson }}{% endmacro %}{% if tools %}{{ f(tools) | whatever }}{% endif %}a"),
            "a");
  EXPECT_EQ(shown("{% for m in messages %}{% if m.role == 'tool' %}{% for x in y %}{{ z | q }}{% endfor %}{% endif %}"
                  "{% endfor %}b"),
            "b");
}

TEST(JinjaProbe, SaysWhenTheTemplateRefusesTheConversation) {
  EXPECT_EQ(shown("{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}"), "raised");
}

TEST(JinjaProbe, SaysWhatItDoesNotUnderstand) {
  EXPECT_EQ(shown("{% include 'x' %}"), "unknown: the statement \"include\"");
  EXPECT_EQ(shown("{% set x %}a{% endset %}"), "unknown: a block that is set");
  EXPECT_EQ(shown("{% for a, b in messages %}{% endfor %}"), "unknown: such a loop");
  EXPECT_EQ(shown("{% for m in messages %}"), "unknown: a block without an end");
  EXPECT_EQ(shown("{{ 'a"), "unknown: a tag without an end");
  EXPECT_EQ(shown(std::string(1 << 20, 'x')), "unknown: a template of that size");
}

TEST(JinjaProbe, HasAnEnd) {
  std::string loops, ends;
  for (int i = 0; i < 30; ++i) {
    loops += "{% for m" + std::to_string(i) + " in messages %}";
    ends += "{% endfor %}";
  }
  EXPECT_TRUE(shown(loops + "x" + ends).starts_with("unknown: ")) << "3^30 turns";
  std::string deep, closed;
  for (int i = 0; i < 100; ++i) {
    deep += "{% if true %}";
    closed += "{% endif %}";
  }
  EXPECT_TRUE(shown(deep + closed).starts_with("unknown: "));
}

}  // namespace
}  // namespace headwater::model
