#include "model/jinja/text.h"

#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

/// Its bytes, with what is data in « ».
std::string marked(const Text& text) {
  std::string all;
  text.each_stretch(0, text.size(), [&](std::string_view bytes, Origin origin) {
    all += origin == Origin::data ? "<<" + std::string(bytes) + ">>" : std::string(bytes);
  });
  return all;
}

std::string marked(std::string_view source) {
  static const Variables variables =
      variables_of(R"({"d": "data", "list": ["a b", "c"], "n": 12, "dict": {"k": "v", "n": null},
    "spaced": "  x ", "role": "user"})");
  const auto text = render(source, variables);
  return text ? marked(*text) : "error: " + text.error().message;
}

TEST(JinjaText, KnowsOfEachByteWhereItComesFrom) {
  Text text("ab", Origin::written);
  text.append("cd", Origin::data);
  text.append("ef", Origin::data);
  text.append("", Origin::written);
  text.append("g", Origin::written);
  EXPECT_EQ(marked(text), "ab<<cdef>>g");
  EXPECT_EQ(marked(text.part(1, 3)), "b<<c>>");
  EXPECT_EQ(marked(text.part(3, 5)), "<<de>>");
  EXPECT_EQ(marked(text.part(6, 7)), "g");
  EXPECT_EQ(marked(text.part(4, 4)), "");
  EXPECT_EQ(text.origin_at(1), Origin::written);
  EXPECT_EQ(text.origin_at(2), Origin::data);
  EXPECT_EQ(text.origin_at(6), Origin::written);
  Text twice = text;
  twice.append(text, 2, 7);
  EXPECT_EQ(marked(twice), "ab<<cdef>>g<<cdef>>g");
  EXPECT_EQ(text.part(0, 2).origin(), Origin::written);
  EXPECT_EQ(text.part(2, 4).origin(), Origin::data);
  EXPECT_EQ(text.origin(), Origin::data);
  EXPECT_EQ(Text().origin(), Origin::written);
}

TEST(JinjaText, StaysAClientsWhateverATemplateDoesWithIt) {
  const std::pair<const char*, const char*> kCases[] = {
      {"<{{ d }}>", "<<<data>>>"},
      {"{{ '<|' + d + '|>' }}", "<|<<data>>|>"},
      {"{{ '<|' ~ d ~ '|>' }}", "<|<<data>>|>"},
      {"{{ ('(' + d + ')')[1:3] }}", "<<da>>"},
      {"{{ ('(' + d + ')')[::-1] }}", ")<<atad>>("},
      {"{{ ('(' + d + ')') | upper }}", "(<<DATA>>)"},
      {"{{ ('( ' + spaced + ' )') | replace(' ', '_') }}", "(___<<x>>__)"},
      {"{{ 'x.x'.replace('.', d) }}", "x<<data>>x"},
      {"{{ spaced | trim }}{{ spaced.strip() }}", "<<xx>>"},
      {"{{ list | join('|') }}", "<<a b>>|<<c>>"},
      {"{{ '|'.join(list) }}", "<<a b>>|<<c>>"},
      {"{{ ('a,' + d).split(',') | join }}", "a<<data>>"},
      {"{{ d | list | join }}{{ d | reverse }}{{ d[0] }}", "<<dataatadd>>"},
      {"{% for c in d %}{{ c }}.{% endfor %}", "<<d>>.<<a>>.<<t>>.<<a>>."},
      {"{{ '%s!' % d }}{{ '{}!'.format(d) }}{{ '%s!' | format(d) }}", "<<data>>!<<data>>!<<data>>!"},
      {"{% set x %}[{{ d }}]{% endset %}{{ x }}", "[<<data>>]"},
      {"{% macro m(a) %}({{ a }}){% endmacro %}{{ m(d) }}", "(<<data>>)"},
      {"{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ d }}{% endcall %}", "(<<data>>)"},
      {"{% filter upper %}x{{ d }}{% endfilter %}", "X<<DATA>>"},
      {"{% set ns = namespace(a=d) %}{% set ns.a = ns.a + '!' %}{{ ns.a }}", "<<data>>!"},
      {"{{ d | tojson }}", "<<\"data\">>"},
      {"{{ dict | tojson }}", "<<{\"k\": \"v\", \"n\": null}>>"},
      {"{{ {'k': d} | tojson }}", "{\"k\": <<\"data\">>}"},
      {"{{ dict }}", "<<{'k': 'v', 'n': None}>>"},
      {"{{ [d] }}", "[<<'data'>>]"},
      {"{% for k, v in dict.items() %}{{ k }}{% endfor %}", "<<kn>>"},
      {"{{ dict | dictsort }}{{ dict.keys() | list }}", "<<[('k', 'v'), ('n', None)]['k', 'n']>>"},
      {"{{ n }}{{ n + 1 }}{{ n * 2.0 }}{{ -n }}{{ n | string }}{{ '%d' % n }}{{ [n] | sum }}", "<<121324.0-12121212>>"},
      {"{{ '12' | int }}{{ d | int(5) }}{{ (d ~ '7')[4:] | int }}", "1257"},
      {"{{ (n ~ '') | int }}", "<<12>>"},
      {"{{ d | indent(2, true) }}{{ d | default('x') }}{{ d | escape }}{{ d | safe }}", "  <<datadatadatadata>>"},
      {"{{ d * 2 }}{{ d.center(6, '*') }}{{ d | truncate(3, true, '') }}", "<<datadata>>*<<data>>*<<data>>"},
      {"{{ d if d else 'x' }}{{ d or 'x' }}{{ '' or d }}", "<<datadatadata>>"},
      {"{{ dict.k }}{{ dict['k'] }}{{ dict.get('k') }}{{ dict.get('z', d) }}", "<<vvvdata>>"},
      {"{{ list | map('upper') | join }}{{ list | sort | first }}{{ list | last }}", "<<A BCa bc>>"},
      {"{{ d.partition('t') | join('|') }}", "<<da>>|t|<<a>>"},
      {"{{ '<' if d == 'data' else '>' }}", "<"},
  };
  for (const auto& [source, expected] : kCases) EXPECT_EQ(marked(source), expected) << source;
}

}  // namespace
}  // namespace headwater::model::jinja
