// The methods of Python's str that templates call.

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

Value strip(Run& run, const Value& self, const Arguments& arguments, Ends ends) {
  arguments.check("strip", {"chars"});
  return run.string(stripped(self.text(), arguments.text(0, "chars"), ends, run.budget));
}

Value list_of(Run& run, std::vector<Text> texts) {
  Values values;
  for (Text& text : texts) values.push_back(run.string(std::move(text)));
  return make_list(std::move(values), &run.budget);
}

Value split_method(Run& run, const Value& self, const Arguments& arguments, bool from_right) {
  arguments.check(from_right ? "rsplit" : "split", {"sep", "maxsplit"});
  const std::int64_t most = arguments.whole(1, "maxsplit", -1);
  return list_of(run, split(self.text(), arguments.text(0, "sep"), most < 0 ? kAllOf : static_cast<std::size_t>(most),
                            from_right, run.budget));
}

Value partition(Run& run, const Value& self, const Arguments& arguments, bool last) {
  const Text& text = self.text();
  const Value& separator = arguments.required("partition", 0, "sep");
  const Text* what = arguments.text(0, "sep");
  if (what == nullptr || what->empty()) fail("empty separator");
  const std::size_t at = last ? find_last_bytes(text.bytes(), what->bytes(), run.budget)
                              : find_bytes(text.bytes(), what->bytes(), 0, run.budget);
  Values parts;
  if (at == kNowhere) {
    const Value none = run.string("", Origin::written);
    parts = last ? Values{none, none, self} : Values{self, none, none};
  } else {
    parts = {run.string(text.part(0, at)), separator, run.string(text.part(at + what->size(), text.size()))};
  }
  return make_list(std::move(parts), &run.budget, Origin::written, List::Form::tuple);
}

/// Whether it begins, or ends, with one of some texts.
bool at_end(const Value& self, const Value& what, bool begin) {
  if (what.is(Kind::list) && what.list().form == List::Form::tuple) {
    return std::ranges::any_of(what.list().items, [&](const Value& one) { return at_end(self, one, begin); });
  }
  if (what.is(Kind::undefined)) fail_undefined(what);
  if (!what.is(Kind::string)) {
    fail(std::string(begin ? "startswith" : "endswith") + " first arg must be str or a tuple of str, not " +
         std::string(type_name(what)));
  }
  return begin ? self.bytes().starts_with(what.bytes()) : self.bytes().ends_with(what.bytes());
}

std::int64_t find(Run& run, const Value& self, const Arguments& arguments, bool last) {
  arguments.check("find", {"sub", "start", "end"});
  const Value& what = arguments.required("find", 0, "sub");
  if (!what.is(Kind::string)) fail("must be str, not " + std::string(type_name(what)));
  const std::string_view text = self.bytes();
  run.budget.copy(2 * text.size());
  const auto size = static_cast<std::int64_t>(count_characters(text));
  const auto place = [&](std::int64_t index) {
    return byte_of(text, static_cast<std::size_t>(std::clamp<std::int64_t>(index < 0 ? index + size : index, 0, size)));
  };
  const std::size_t begin = place(arguments.whole(1, "start", 0));
  const std::size_t end = std::max(begin, place(arguments.whole(2, "end", size)));
  const std::string_view part = text.substr(begin, end - begin);
  const std::size_t at =
      last ? find_last_bytes(part, what.bytes(), run.budget) : find_bytes(part, what.bytes(), 0, run.budget);
  return at == kNowhere ? -1 : static_cast<std::int64_t>(count_characters(text.substr(0, begin + at)));
}

std::int64_t index(Run& run, const Value& self, const Arguments& arguments, bool last) {
  const std::int64_t at = find(run, self, arguments, last);
  if (at < 0) fail("substring not found");
  return at;
}

/// Not empty, and all of it is so.
Value all_are(Run& run, const Value& self, bool (*is)(std::uint32_t)) {
  run.budget.step(self.text().size() / 8);
  std::string_view rest = self.bytes();
  bool all = !rest.empty();
  for (; all && !rest.empty(); rest.remove_prefix(first_character(rest).length)) all = is(first_character(rest).code);
  return Value::boolean(all);
}

Value is_cased(Run& run, const Value& self, Case as) {
  const std::string lower = with_case(self.text(), Case::lower, run.budget).bytes();
  const std::string upper = with_case(self.text(), Case::upper, run.budget).bytes();
  return Value::boolean(lower != upper && self.bytes() == (as == Case::lower ? lower : upper));
}

Value fill(Run& run, const Value& self, const Arguments& arguments, int left) {
  arguments.check("center", {"width", "fillchar"});
  const std::int64_t width = arguments.whole(0, "width", 0);
  const Text* with = arguments.text(1, "fillchar");
  if (with != nullptr && count_characters(with->bytes()) != 1)
    fail("The fill character must be exactly one character long");
  const Text space(" ", Origin::written);
  return run.string(filled(self.text(), static_cast<std::size_t>(std::max<std::int64_t>(width, 0)),
                           with == nullptr ? space : *with, left, run.budget));
}

Value zero_fill(Run& run, const Value& self, const Arguments& arguments) {
  const Text& text = self.text();
  const std::size_t sign = text.bytes().starts_with('-') || text.bytes().starts_with('+') ? 1 : 0;
  const std::int64_t width = arguments.whole(0, "width", 0) - static_cast<std::int64_t>(sign);
  Text result = text.part(0, sign);
  result.append(filled(text.part(sign, text.size()), static_cast<std::size_t>(std::max<std::int64_t>(width, 0)),
                       Text("0", Origin::written), 1, run.budget));
  return run.string(std::move(result));
}

Value join(Run& run, const Value& self, const Arguments& arguments) {
  Text result;
  const Values items = items_of(run, arguments.required("join", 0, "iterable"));
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is(Kind::string)) {
      fail("sequence item " + std::to_string(i) + ": expected str instance, " + std::string(type_name(items[i])) +
           " found");
    }
    run.budget.copy(items[i].text().size() + self.text().size());
    run.budget.check(result.cost() + items[i].text().cost() + self.text().cost());
    if (i > 0) result.append(self.text());
    result.append(items[i].text());
  }
  return run.string(std::move(result));
}

Value replace(Run& run, const Value& self, const Arguments& arguments) {
  arguments.check("replace", {"old", "new", "count"});
  arguments.required("replace", 0, "old");
  arguments.required("replace", 1, "new");
  const Text *from = arguments.text(0, "old"), *to = arguments.text(1, "new");
  if (from == nullptr || to == nullptr) fail("replace() argument must be str, not NoneType");
  const std::int64_t most = arguments.whole(2, "count", -1);
  return run.string(replaced(self.text(), *from, *to, most < 0 ? kAllOf : static_cast<std::size_t>(most), run.budget));
}

Value remove_end(Run& run, const Value& self, const Arguments& arguments, bool begin) {
  const Value& what = arguments.required("removeprefix", 0, "prefix");
  if (!at_end(self, what, begin)) return self;
  const std::size_t size = what.text().size();
  return run.string(begin ? self.text().part(size, self.text().size())
                          : self.text().part(0, self.text().size() - size));
}

template <Case as>
Value cased(Run& run, const Value& self, const Arguments& arguments) {
  arguments.check("lower", {});
  return run.string(with_case(self.text(), as, run.budget));
}

using Args = const Arguments&;

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"capitalize", cased<Case::capitalized>},
    {"casefold", cased<Case::lower>},
    {"center", [](Run& r, const Value& s, Args a) { return fill(r, s, a, 2); }},
    {"count",
     [](Run& r, const Value& s, Args a) {
       const Value& what = a.required("count", 0, "sub");
       if (!what.is(Kind::string)) fail("must be str, not " + std::string(type_name(what)));
       return Value::integer(static_cast<std::int64_t>(count_of(s.bytes(), what.bytes(), r.budget)));
     }},
    {"endswith", [](Run&, const Value& s,
                    Args a) { return Value::boolean(at_end(s, a.required("endswith", 0, "suffix"), false)); }},
    {"find", [](Run& r, const Value& s, Args a) { return Value::integer(find(r, s, a, false)); }},
    {"format", [](Run& r, const Value& s, Args a) { return r.string(format_braces(r, s.text(), a)); }},
    {"index", [](Run& r, const Value& s, Args a) { return Value::integer(index(r, s, a, false)); }},
    {"isalnum", [](Run& r, const Value& s,
                   Args) { return all_are(r, s, [](std::uint32_t c) { return is_alpha(c) || is_digit(c); }); }},
    {"isalpha", [](Run& r, const Value& s, Args) { return all_are(r, s, is_alpha); }},
    {"isdecimal", [](Run& r, const Value& s, Args) { return all_are(r, s, is_digit); }},
    {"isdigit", [](Run& r, const Value& s, Args) { return all_are(r, s, is_digit); }},
    {"islower", [](Run& r, const Value& s, Args) { return is_cased(r, s, Case::lower); }},
    {"isnumeric", [](Run& r, const Value& s, Args) { return all_are(r, s, is_digit); }},
    {"isspace", [](Run& r, const Value& s, Args) { return all_are(r, s, is_space); }},
    {"isupper", [](Run& r, const Value& s, Args) { return is_cased(r, s, Case::upper); }},
    {"join", join},
    {"ljust", [](Run& r, const Value& s, Args a) { return fill(r, s, a, 0); }},
    {"lower", cased<Case::lower>},
    {"lstrip",
     [](Run& r, const Value& s, Args a) {
       return strip(r, s, a, {true, false});
     }},
    {"partition", [](Run& r, const Value& s, Args a) { return partition(r, s, a, false); }},
    {"removeprefix", [](Run& r, const Value& s, Args a) { return remove_end(r, s, a, true); }},
    {"removesuffix", [](Run& r, const Value& s, Args a) { return remove_end(r, s, a, false); }},
    {"replace", replace},
    {"rfind", [](Run& r, const Value& s, Args a) { return Value::integer(find(r, s, a, true)); }},
    {"rindex", [](Run& r, const Value& s, Args a) { return Value::integer(index(r, s, a, true)); }},
    {"rjust", [](Run& r, const Value& s, Args a) { return fill(r, s, a, 1); }},
    {"rpartition", [](Run& r, const Value& s, Args a) { return partition(r, s, a, true); }},
    {"rsplit", [](Run& r, const Value& s, Args a) { return split_method(r, s, a, true); }},
    {"rstrip", [](Run& r, const Value& s, Args a) { return strip(r, s, a, {false, true}); }},
    {"split", [](Run& r, const Value& s, Args a) { return split_method(r, s, a, false); }},
    {"splitlines", [](Run& r, const Value& s,
                      Args a) { return list_of(r, split_lines(s.text(), a.flag(0, "keepends", false), r.budget)); }},
    {"startswith", [](Run&, const Value& s,
                      Args a) { return Value::boolean(at_end(s, a.required("startswith", 0, "prefix"), true)); }},
    {"strip", [](Run& r, const Value& s, Args a) { return strip(r, s, a, {true, true}); }},
    {"swapcase", cased<Case::swapped>},
    {"title", cased<Case::title>},
    {"upper", cased<Case::upper>},
    {"zfill", zero_fill},
};

}  // namespace

Method find_text_method(std::string_view name) {
  const auto* found = std::ranges::find(kMethods, name, [](const auto& entry) { return entry.first; });
  return found == std::end(kMethods) ? nullptr : found->second;
}

}  // namespace headwater::model::jinja
