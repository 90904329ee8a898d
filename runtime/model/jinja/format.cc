#include "model/jinja/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "model/jinja/access.h"
#include "model/jinja/characters.h"
#include "model/jinja/print.h"
#include "model/jinja/text_operations.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;

/// [[fill]align][sign][0][width][,][.precision][type]
struct Specification {
  Text fill = Text(" ", Origin::written);
  char align = '\0';
  char sign = '-';
  bool zero = false;
  bool comma = false;
  std::size_t width = 0;
  int precision = -1;
  char type = '\0';
};

constexpr std::size_t kMostWidth = 1000;
constexpr int kMostPrecision = 100;

std::size_t take_number(std::string_view& rest) {
  std::size_t number = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  rest.remove_prefix(static_cast<std::size_t>(read.ptr - rest.data()));
  if (read.ec == std::errc::result_out_of_range || number > kMostWidth) Budget::exceeded("formats to a great width");
  return number;
}

int take_precision(std::string_view& rest) {
  rest.remove_prefix(1);
  return static_cast<int>(std::min<std::size_t>(take_number(rest), kMostPrecision));
}

std::string with_commas(std::string digits) {
  std::size_t end = std::min(digits.find_first_of(".e"), digits.size());
  const std::size_t begin = digits.starts_with('-') ? 1 : 0;
  while (end > begin + 3) {
    end -= 3;
    digits.insert(end, ",");
  }
  return digits;
}

std::string whole_text(std::int64_t number, char type) {
  if (type == '\0' || type == 'd' || type == 'i' || type == 'u') return std::to_string(number);
  char buffer[72];
  const int base = type == 'b' ? 2 : type == 'o' ? 8 : 16;
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof(buffer), number, base).ptr);
  if (type == 'X') {
    for (char& c : text) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c;
  }
  return text;
}

std::string real_form(double number, char type, int precision) {
  const char form[] = {'%', '.', '*', type, '\0'};
  char buffer[512];
  const int length = std::snprintf(buffer, sizeof(buffer), form, precision < 0 ? 6 : precision, number);
  return {buffer, static_cast<std::size_t>(length)};
}

Text number_text(const Value& value, const Specification& spec) {
  const bool real = std::string_view("feEgGF%").find(spec.type) != kNowhere;
  std::string text;
  if (real && spec.type != '\0') {
    text = real_form(spec.type == '%' ? value.number() * 100 : value.number(), spec.type == '%' ? 'f' : spec.type,
                     spec.precision);
    if (spec.type == '%') text += '%';
  } else if (value.is_whole()) {
    text = whole_text(value.whole(), spec.type);
  } else {
    text = spec.precision >= 0 ? real_form(value.number(), 'g', spec.precision) : real_text(value.number());
  }
  if (spec.comma) text = with_commas(std::move(text));
  if (spec.sign != '-' && !text.starts_with('-')) text.insert(0, 1, spec.sign);
  if (spec.zero && spec.align == '\0' && text.size() < spec.width) {
    const std::size_t at = text.starts_with('-') || text.starts_with('+') || text.starts_with(' ') ? 1 : 0;
    text.insert(at, spec.width - text.size(), '0');
  }
  return {std::move(text), value.origin()};
}

Text aligned(const Text& text, const Specification& spec, char otherwise, Budget& budget) {
  const char align = spec.align == '\0' ? otherwise : spec.align;
  return filled(text, spec.width, spec.fill, align == '<' ? 0 : align == '>' ? 1 : 2, budget);
}

Text formatted(Run& run, const Value& value, const Specification& spec) {
  constexpr std::string_view kNumeric = "dibouxXeEfFgG%";
  const bool numeric = spec.type != '\0' && kNumeric.find(spec.type) != kNowhere;
  if (value.is_number() && (numeric || (!value.is(Kind::boolean) && spec.type == '\0'))) {
    return aligned(number_text(value, spec), spec, '>', run.budget);
  }
  if (numeric)
    fail("Unknown format code '" + std::string(1, spec.type) + "' for object of type '" +
         std::string(type_name(value)) + "'");
  Text text = printed(value, run.budget);
  if (spec.precision >= 0) text = text.part(0, byte_of(text.bytes(), static_cast<std::size_t>(spec.precision)));
  return aligned(text, spec, '<', run.budget);
}

Specification read_specification(std::string_view rest) {
  Specification spec;
  const auto aligns = [](char c) { return c == '<' || c == '>' || c == '^'; };
  const std::size_t first = rest.empty() ? 0 : first_character(rest).length;
  if (rest.size() > first && first > 0 && aligns(rest[first])) {
    spec.fill = Text(std::string(rest.substr(0, first)), Origin::written);
    rest.remove_prefix(first);
  }
  const auto take = [&](auto fits) {
    const bool fit = !rest.empty() && fits(rest.front());
    const char c = fit ? rest.front() : '\0';
    if (fit) rest.remove_prefix(1);
    return c;
  };
  spec.align = take(aligns);
  if (const char sign = take([](char c) { return c == '+' || c == '-' || c == ' '; }); sign != '\0') spec.sign = sign;
  spec.zero = take([](char c) { return c == '0'; }) != '\0';
  if (!rest.empty() && is_digit(static_cast<unsigned char>(rest.front()))) spec.width = take_number(rest);
  spec.comma = take([](char c) { return c == ','; }) != '\0';
  if (rest.starts_with('.')) spec.precision = take_precision(rest);
  if (rest.size() > 1) fail("Invalid format specifier");
  spec.type = rest.empty() || rest == "s" ? '\0' : rest.front();
  return spec;
}

/// What a field of braces names: nothing, a number or a name, then .attributes and [items].
Value field_value(std::string_view field, const Arguments& arguments, std::size_t& next) {
  const std::size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string_view name = field.substr(0, end);
  std::size_t place = 0;
  const bool numbered = std::from_chars(name.data(), name.data() + name.size(), place).ec == std::errc{};
  const Value* value = name.empty() ? arguments.find(next++, "")
                       : numbered   ? arguments.find(place, "")
                                    : arguments.find(arguments.positional.size(), name);
  if (value == nullptr && (name.empty() || numbered)) {
    fail("tuple index out of range");
  }
  if (value == nullptr) fail("'" + std::string(name) + "'");
  if (end < field.size()) fail("attributes in a format are not supported");
  return *value;
}

}  // namespace

Text format_percent(Run& run, const Text& form, const Values& values) {
  Text result;
  std::size_t next = 0, begin = 0;
  const std::string& bytes = form.bytes();
  for (std::size_t at = bytes.find('%'); at != kNowhere; at = bytes.find('%', begin)) {
    run.budget.step();
    result.append(form, begin, at);
    std::string_view rest = std::string_view(bytes).substr(at + 1);
    Specification spec;
    for (; !rest.empty() && std::string_view("-+ 0#").find(rest.front()) != kNowhere; rest.remove_prefix(1)) {
      if (rest.front() == '-') spec.align = '<';
      if (rest.front() == '+' || rest.front() == ' ') spec.sign = rest.front();
      if (rest.front() == '0') spec.zero = true;
    }
    if (!rest.empty() && is_digit(static_cast<unsigned char>(rest.front()))) spec.width = take_number(rest);
    if (rest.starts_with('.')) spec.precision = take_precision(rest);
    if (rest.empty()) fail("incomplete format");
    spec.type = rest.front();
    begin = bytes.size() - rest.size() + 1;
    if (spec.type == '%') {
      result.append("%", form.origin_at(at));
      continue;
    }
    if (next == values.size()) fail("not enough arguments for format string");
    const Value& value = values[next++];
    if (std::string_view("srdiufFeEgGxXoc").find(spec.type) == kNowhere) {
      fail("unsupported format character '" + std::string(1, spec.type) + "'");
    }
    if (spec.type == 'r') {
      result.append(aligned(shown(value, run.budget), spec, '>', run.budget));
      continue;
    }
    const bool plain = spec.type == 's' || spec.type == 'c';
    if (!plain && !value.is_number()) {
      fail("%" + std::string(1, spec.type) + " format: a real number is required, not " +
           std::string(type_name(value)));
    }
    const bool whole = std::string_view("diu").find(spec.type) != kNowhere;
    spec.type = plain ? '\0' : spec.type;
    if (plain) {
      Text text = printed(value, run.budget);
      if (spec.precision >= 0) text = text.part(0, byte_of(text.bytes(), static_cast<std::size_t>(spec.precision)));
      result.append(aligned(text, spec, '>', run.budget));
    } else {
      const bool cut = whole && value.is(Kind::real) && std::abs(value.number()) < 9e18;
      result.append(formatted(
          run, cut ? Value::integer(static_cast<std::int64_t>(value.number()), value.origin()) : value, spec));
    }
    run.budget.check(result.cost());
  }
  if (next < values.size() && !values[next].is(Kind::dict))
    fail("not all arguments converted during string formatting");
  result.append(form, begin, form.size());
  return result;
}

Text format_braces(Run& run, const Text& form, const Arguments& arguments) {
  Text result;
  std::size_t next = 0, begin = 0;
  const std::string_view bytes = form.bytes();
  for (std::size_t at = bytes.find_first_of("{}"); at != kNowhere; at = bytes.find_first_of("{}", begin)) {
    run.budget.step();
    result.append(form, begin, at);
    if (bytes.substr(at + 1).starts_with(bytes[at])) {
      result.append(form, at, at + 1);
      begin = at + 2;
      continue;
    }
    if (bytes[at] == '}') fail("Single '}' encountered in format string");
    const std::size_t end = bytes.find('}', at);
    if (end == kNowhere) fail("Single '{' encountered in format string");
    std::string_view field = bytes.substr(at + 1, end - at - 1);
    const std::size_t colon = std::min(field.find(':'), field.size());
    const Specification spec = read_specification(colon < field.size() ? field.substr(colon + 1) : "");
    field = field.substr(0, colon);
    const bool repr = field.ends_with("!r");
    if (repr || field.ends_with("!s")) field.remove_suffix(2);
    Value value = field_value(field, arguments, next);
    if (repr) value = run.string(shown(value, run.budget));
    result.append(formatted(run, value, spec));
    run.budget.check(result.cost());
    begin = end + 1;
  }
  result.append(form, begin, form.size());
  return result;
}

}  // namespace headwater::model::jinja
