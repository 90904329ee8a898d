#include <gtest/gtest.h>

#include "tests/model/jinja/rendering.h"

namespace headwater::model::jinja {
namespace {

// What Jinja2 writes, set up as `transformers` sets it up; see tests/templates for whole templates of models.
constexpr Case kMethods[] = {
    {"{{ text.strip() }}| {{ text.lstrip() }}| {{ text.rstrip() }}| {{ 'xyax'.strip('xy') }} {{ "
     "'\\u3000\\u00a0a\\u2003'.strip() }}",
     "Hello\tWorld| Hello\tWorld \n|   Hello\tWorld| a a"},
    {"{{ 'a b  c'.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ "
     "''.split() }} {{ ''.split(',') }} {{ ' a b c '.split(none, 1) }} {{ 'l1\\nl2\\r\\n\\nl4'.splitlines() }} {{ "
     "'a\\nb'.splitlines(true) }}",
     "['a', 'b', 'c'] ['a', 'b', '', 'c'] ['a', 'b,c'] ['a,b', 'c'] [] [''] ['a', 'b c '] ['l1', 'l2', '', 'l4'] "
     "['a\\n', 'b']"},
    {"{{ 'Hello'.startswith('He') }} {{ 'Hello'.endswith(('x', 'lo')) }} {{ 'Hello'.find('l') }} {{ 'Hello'.rfind('l') "
     "}} {{ 'Hello'.find('z') }} {{ name.find('ë') }} {{ 'hello'.count('l') }} {{ 'hello'.index('e') }} {{ "
     "'aXbX'.find('X', 2) }}",
     "True True 2 3 -1 2 2 1 3"},
    {"{{ 'Hello'.upper() }} {{ 'Hello'.lower() }} {{ 'hello wORLD, it\\'s'.title() }} {{ 'hELLO'.capitalize() }} {{ "
     "'aB'.swapcase() }} {{ 'x'.join(['a', 'b']) }} {{ 'a-b'.replace('-', '') }} {{ 'aaa'.replace('a', 'b', 1) }}",
     "HELLO hello Hello World, It'S Hello Ab axb ab baa"},
    {"{{ '{} and {}'.format(1, 'x') }} {{ '{1}{0}{a}'.format(1, 2, a=3) }} {{ "
     "'{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}'.format('a', 'b', 'c', 42, 3.14159, 1234567) }} {{ '{{}}{!r}'.format('a') "
     "}} {{ '%s-%05d-%x' % ('a', 42, 255) }} {{ '%5s|%-5s|%+d' % ('a', 'b', 3) }}",
     "1 and x 213     a|b    |  c  |00042|3.14|1,234,567 {}'a' a-00042-ff     a|b    |+3"},
    {"{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ "
     "''.isdigit() }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ "
     "'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ '7'.zfill(3) }} {{ "
     "'-7'.zfill(4) }} {{ 'a'.ljust(3, '.') }}|{{ 'a'.rjust(3) }}|{{ 'ab'.center(5, '*') }}",
     "True True True True True False x x ('a', '=', 'b=c') ('a=b', '=', 'c') ('abc', '', '') 007 -007 a..|  a|**ab*"},
    {"{{ numbers.index(2) }} {{ numbers.count(3) }} {{ words.copy() }} {{ person.copy().name }}",
     "2 2 ['b', 'a', 'C'] Ann"},
};

TEST(JinjaTextMethods, WriteWhatPythonWrites) {
  for (const Case& c : kMethods) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

}  // namespace
}  // namespace headwater::model::jinja
