// Jinja's filters that make text of something.

#include <algorithm>

#include "model/jinja/access.h"
#include "model/jinja/characters.h"
#include "model/jinja/format.h"
#include "model/jinja/functions.h"
#include "model/jinja/print.h"
#include "model/jinja/text_operations.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;
using Args = const Arguments&;

template <Case as>
Value cased(Run& run, const Value& input, Args arguments) {
  arguments.check("filter", {});
  return run.string(with_case(printed(input, run.budget), as, run.budget));
}

Value trim(Run& run, const Value& input, Args arguments) {
  arguments.check("trim", {"chars"});
  return run.string(stripped(printed(input, run.budget), arguments.text(0, "chars"), {}, run.budget));
}

Value replace(Run& run, const Value& input, Args arguments) {
  arguments.check("replace", {"old", "new", "count"});
  const Text from = printed(arguments.required("replace", 0, "old"), run.budget);
  const Text to = printed(arguments.required("replace", 1, "new"), run.budget);
  const std::int64_t most = arguments.whole(2, "count", -1);
  return run.string(
      replaced(printed(input, run.budget), from, to, most < 0 ? kAllOf : static_cast<std::size_t>(most), run.budget));
}

Value indent(Run& run, const Value& input, Args arguments) {
  arguments.check("indent", {"width", "first", "blank"});
  const Value* width = arguments.find(0, "width");
  Text margin;
  if (width != nullptr && width->is(Kind::string)) {
    margin = width->text();
  } else {
    const std::int64_t n = arguments.whole(0, "width", 4);
    margin =
        filled({}, static_cast<std::size_t>(std::max<std::int64_t>(n, 0)), Text(" ", Origin::written), 0, run.budget);
  }
  Text text = printed(input, run.budget);
  text.append("\n", Origin::written);
  const std::vector<Text> lines = split_lines(text, false, run.budget);
  const bool first = arguments.flag(1, "first", false), blank = arguments.flag(2, "blank", false);
  Text result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result.append("\n", Origin::written);
    if (i == 0 ? first : blank || !lines[i].empty()) result.append(margin);
    run.budget.copy(margin.size() + lines[i].size());
    run.budget.check(result.cost() + lines[i].cost() + margin.cost());
    result.append(lines[i]);
  }
  return run.string(std::move(result));
}

Value markup(Run& run, Text text) { return Value::string(std::move(text), &run.budget, true); }

Value escape(Run& run, const Value& input, Args /*arguments*/) {
  return input.is_markup() ? input : markup(run, escaped(printed(input, run.budget), run.budget));
}

Value truncate(Run& run, const Value& input, Args arguments) {
  arguments.check("truncate", {"length", "killwords", "end", "leeway"});
  const Text text = printed(input, run.budget);
  const Text dots("...", Origin::written);
  const Text* end = arguments.text(2, "end");
  const std::int64_t length = arguments.whole(0, "length", 255), leeway = arguments.whole(3, "leeway", 5);
  const auto end_size = static_cast<std::int64_t>(count_characters(end == nullptr ? dots.bytes() : end->bytes()));
  if (length < end_size) fail("expected length >= " + std::to_string(end_size) + ", got " + std::to_string(length));
  if (leeway < 0) fail("expected leeway >= 0, got " + std::to_string(leeway));
  if (static_cast<std::int64_t>(count_characters(text.bytes())) - length <= leeway) return run.string(text);
  std::size_t kept = byte_of(text.bytes(), static_cast<std::size_t>(length - end_size));
  if (!arguments.flag(1, "killwords", false)) kept = std::min(text.bytes().substr(0, kept).rfind(' '), kept);
  Text result = text.part(0, kept);
  result.append(end == nullptr ? dots : *end);
  return run.string(std::move(result));
}

Value json(Run& run, const Value& input, Args arguments) {
  arguments.check("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonForm form;
  form.ascii = arguments.flag(0, "ensure_ascii", false);
  form.sorted = arguments.flag(3, "sort_keys", false);
  const Value* indent = arguments.find(1, "indent");
  if (indent != nullptr && indent->is(Kind::string)) {
    form.indent = indent->bytes();
  } else if (indent != nullptr && indent->is_whole()) {
    constexpr std::int64_t kMost = 1000;
    if (indent->whole() > kMost) Budget::exceeded("indents JSON far");
    form.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(indent->whole(), 0)), ' ');
  }
  if (form.indent) form.comma = ",";
  const Value* separators = arguments.find(2, "separators");
  if (separators != nullptr && !separators->is(Kind::none)) {
    const Values parts = items_of(run, *separators);
    if (parts.size() != 2 || !parts[0].is(Kind::string) || !parts[1].is(Kind::string))
      fail("separators must be two strings");
    form.comma = parts[0].bytes();
    form.colon = parts[1].bytes();
  }
  return run.string(to_json(input, form, run.budget));
}

Value joined(Run& run, const Value& input, Args arguments) {
  arguments.check("join", {"d", "attribute"});
  const Value* separator = arguments.find(0, "d");
  const Text between = separator == nullptr ? Text() : printed(*separator, run.budget);
  const Value* attribute = arguments.find(1, "attribute");
  Text result;
  bool first = true;
  for (const Value& item : items_of(run, input)) {
    const bool whole = attribute == nullptr || attribute->is(Kind::none);
    const Text part = printed(whole ? item : get_path(run, item, *attribute), run.budget);
    run.budget.copy(part.size() + between.size());
    run.budget.check(result.cost() + part.cost() + between.cost());
    if (!std::exchange(first, false)) result.append(between);
    result.append(part);
  }
  return run.string(std::move(result));
}

Value word_count(Run& run, const Value& input, Args /*arguments*/) {
  const Text text = printed(input, run.budget);
  run.budget.step(text.size() / 8);
  std::int64_t words = 0;
  bool inside = false;
  for (std::string_view rest = text.bytes(); !rest.empty(); rest.remove_prefix(first_character(rest).length)) {
    const std::uint32_t code = first_character(rest).code;
    const bool letter = is_alpha(code) || is_digit(code) || code == '_';
    words += letter && !inside ? 1 : 0;
    inside = letter;
  }
  return Value::integer(words);
}

constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
    {"capitalize", cased<Case::capitalized>},
    {"center",
     [](Run& r, const Value& v, Args a) {
       const auto width = static_cast<std::size_t>(std::max<std::int64_t>(0, a.whole(0, "width", 80)));
       return r.string(filled(printed(v, r.budget), width, Text(" ", Origin::written), 2, r.budget));
     }},
    {"e", escape},
    {"escape", escape},
    {"forceescape", [](Run& r, const Value& v, Args) { return markup(r, escaped(printed(v, r.budget), r.budget)); }},
    {"format",
     [](Run& r, const Value& v, Args a) { return r.string(format_percent(r, printed(v, r.budget), a.positional)); }},
    {"indent", indent},
    {"join", joined},
    {"lower", cased<Case::lower>},
    {"pprint", [](Run& r, const Value& v, Args) { return r.string(shown(v, r.budget)); }},
    {"replace", replace},
    {"safe", [](Run& r, const Value& v, Args) { return markup(r, printed(v, r.budget)); }},
    {"string", [](Run& r, const Value& v, Args) { return v.is(Kind::string) ? v : r.string(printed(v, r.budget)); }},
    {"title", cased<Case::titled_words>},
    {"tojson", json},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", cased<Case::upper>},
    {"wordcount", word_count},
};

}  // namespace

FilterFunction find_text_filter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, [](const auto& entry) { return entry.first; });
  return found == std::end(kFilters) ? nullptr : found->second;
}

}  // namespace headwater::model::jinja
