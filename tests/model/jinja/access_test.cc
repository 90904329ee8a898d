#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 writes, set up as `transformers` sets it up; see tests/templates for whole templates of models.
constexpr Case kAccess[] = {
    {"{{ person.name }} {{ person['name'] }} {{ person['items'] }} {{ person.missing }}| {{ person.get('age') }} {{ "
     "person.get('z') }} {{ person.get('z', 5) }}",
     "Ann Ann [1, 2] | 41 None 5"},
    {"{{ words[0] }} {{ words[-1] }} {{ words[9] }}| {{ words.0 }} {{ name[2] }} {{ name[-1] }} {{ people[0].city.zip "
     "}} {{ people[1].city is defined }}",
     "b C | b ë ë 1 False"},
    {"{{ words[1:] }} {{ words[:1] }} {{ words[::-1] }} {{ numbers[::2] }} {{ numbers[-3:-1] }} {{ name[::-1] }} {{ "
     "name[1:] }} {{ name[5:] }}| {{ 'abcdef'[4:1:-2] }} {{ words[10:] }} {{ 'abc'[none:2] }}",
     "['a', 'C'] ['b'] ['C', 'a', 'b'] [3, 2] [1, 2] ëoZ oë | ec [] ab"},
    {"{{ person.keys() | list }} {{ person.values() | list }} {% for k, v in person.items() %}{{ k }}={{ v }};{% "
     "endfor %}",
     "['name', 'items', 'age'] ['Ann', [1, 2], 41] name=Ann;items=[1, 2];age=41;"},
    {"{{ [none, true, 1.5, 'it\\'s', quoted] }} {{ {'a': [1], 2: none} }}",
     "[None, True, 1.5, \"it's\", 'it\\'s \"so\" \\\\ \\n\\x01é'] {'a': [1], 2: None}"},
    {"{{ people | map(attribute='name') | list }} {{ people | map(attribute='city.zip', default='-') | list }} {{ "
     "people | map(attribute='age') | sum }}",
     "['Ann', 'bob'] ['1', '-'] 48"},
    {"{{ nothing['x'] is defined }} {{ words['x'] is defined }} {{ missing }}|", "False False |"},
};

TEST(JinjaAccess, FindsWhatPythonFinds) {
  for (const Case& c : kAccess) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

}  // namespace
}  // namespace headwater::model::jinja
