#include "model/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/jinja/access.h"
#include "model/jinja/format.h"
#include "model/jinja/text_operations.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;
using Sign = Binary::Sign;

const char* text_of(Sign sign) {
  switch (sign) {
    case Sign::add:
      return "+";
    case Sign::subtract:
      return "-";
    case Sign::multiply:
      return "*";
    case Sign::divide:
      return "/";
    case Sign::floor:
      return "//";
    case Sign::modulo:
      return "%";
    default:
      return "** or pow()";
  }
}

[[noreturn]] void too_large() { Budget::exceeded("computes a whole number beyond 64 bits"); }

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == -1) {
    if (a == std::numeric_limits<std::int64_t>::min()) too_large();
    return -a;
  }
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t floor_modulo(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

std::int64_t whole_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t power = 1;
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(power, base, &power)) too_large();
  }
  return power;
}

Value of_wholes(Sign sign, std::int64_t a, std::int64_t b, Origin origin) {
  std::int64_t result = 0;
  bool large = false;
  switch (sign) {
    case Sign::add:
      large = __builtin_add_overflow(a, b, &result);
      break;
    case Sign::subtract:
      large = __builtin_sub_overflow(a, b, &result);
      break;
    case Sign::multiply:
      large = __builtin_mul_overflow(a, b, &result);
      break;
    case Sign::floor:
      result = floor_divide(a, b);
      break;
    case Sign::modulo:
      result = floor_modulo(a, b);
      break;
    default:
      result = whole_power(a, b);
  }
  if (large) too_large();
  return Value::integer(result, origin);
}

double of_reals(Sign sign, double a, double b) {
  switch (sign) {
    case Sign::add:
      return a + b;
    case Sign::subtract:
      return a - b;
    case Sign::multiply:
      return a * b;
    case Sign::divide:
      return a / b;
    case Sign::floor:
      return std::floor(a / b);
    case Sign::modulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    default:
      return std::pow(a, b);
  }
}

Value of_numbers(Sign sign, const Value& left, const Value& right) {
  const Origin origin = either(left.origin(), right.origin());
  const bool wholes = left.is_whole() && right.is_whole();
  const bool divides = sign == Sign::divide || sign == Sign::floor || sign == Sign::modulo;
  if (divides && right.number() == 0) {
    fail(sign == Sign::divide && wholes ? "division by zero"
         : sign == Sign::divide         ? "float division by zero"
         : wholes                       ? "integer division or modulo by zero"
         : sign == Sign::modulo         ? "float modulo"
                                        : "float floor division by zero");
  }
  if (wholes && sign != Sign::divide && !(sign == Sign::power && right.whole() < 0)) {
    return of_wholes(sign, left.whole(), right.whole(), origin);
  }
  return Value::real(of_reals(sign, left.number(), right.number()), origin);
}

Value add_lists(Run& run, const Value& left, const Value& right) {
  Values all = items_of(run, left);
  const Values more = items_of(run, right);
  all.insert(all.end(), more.begin(), more.end());
  return make_list(std::move(all), &run.budget, either(left.origin(), right.origin()), left.list().form);
}

Value repeat(Run& run, const Value& what, std::int64_t times) {
  const auto n = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  const std::uint64_t size = what.is(Kind::string) ? what.text().cost() : what.list().items.size() * sizeof(Value);
  if (size > 0 && n > run.budget.limits().bytes / size) run.budget.check(run.budget.limits().bytes + 1);
  run.budget.check(size * n);
  run.budget.copy(size * n);
  if (what.is(Kind::string)) {
    Text text;
    for (std::uint64_t i = 0; i < n && size > 0; ++i) text.append(what.text());
    return run.string(std::move(text));
  }
  Values items;
  for (std::uint64_t i = 0; i < n && size > 0; ++i) {
    items.insert(items.end(), what.list().items.begin(), what.list().items.end());
  }
  return make_list(std::move(items), &run.budget, what.origin(), what.list().form);
}

bool is_row(const Value& value) {
  return value.is(Kind::list) && (value.list().form == List::Form::list || value.list().form == List::Form::tuple);
}

[[noreturn]] void unsupported(Sign sign, const Value& left, const Value& right) {
  if (sign == Sign::add && (left.is(Kind::string) || is_row(left))) {
    const std::string type(type_name(left));
    fail("can only concatenate " + type + " (not \"" + std::string(type_name(right)) + "\") to " + type);
  }
  fail("unsupported operand type(s) for " + std::string(text_of(sign)) + ": '" + std::string(type_name(left)) +
       "' and '" + std::string(type_name(right)) + "'");
}

}  // namespace

Value calculate(Run& run, Sign sign, const Value& left, const Value& right) {
  if (left.is(Kind::undefined)) fail_undefined(left);
  if (right.is(Kind::undefined)) fail_undefined(right);
  if (left.is_number() && right.is_number()) return of_numbers(sign, left, right);
  if (sign == Sign::add && left.is(Kind::string) && right.is(Kind::string)) {
    const bool markup = left.is_markup() || right.is_markup();
    const auto part = [&](const Value& side) {
      return markup && !side.is_markup() ? escaped(side.text(), run.budget) : side.text();
    };
    run.budget.check(left.text().cost() + right.text().cost());
    run.budget.copy(left.text().size() + right.text().size());
    Text text = part(left);
    text.append(part(right));
    return Value::string(std::move(text), &run.budget, markup);
  }
  if (sign == Sign::add && is_row(left) && is_row(right) && left.list().form == right.list().form) {
    return add_lists(run, left, right);
  }
  if (sign == Sign::multiply) {
    if (right.is_whole() && (left.is(Kind::string) || is_row(left))) return repeat(run, left, right.whole());
    if (left.is_whole() && (right.is(Kind::string) || is_row(right))) return repeat(run, right, left.whole());
  }
  if (sign == Sign::modulo && left.is(Kind::string)) {
    const bool several = right.is(Kind::list) && right.list().form == List::Form::tuple;
    return run.string(format_percent(run, left.text(), several ? right.list().items : Values{right}));
  }
  unsupported(sign, left, right);
}

int order(Run& run, const Value& left, const Value& right, const char* sign) {
  if (left.is(Kind::undefined)) fail_undefined(left);
  if (right.is(Kind::undefined)) fail_undefined(right);
  run.budget.step();
  const auto three = [](const auto& a, const auto& b) { return a < b ? -1 : b < a ? 1 : 0; };
  if (left.is_whole() && right.is_whole()) return three(left.whole(), right.whole());
  if (left.is_number() && right.is_number()) return three(left.number(), right.number());
  if (left.is(Kind::string) && right.is(Kind::string)) {
    run.budget.copy(std::min(left.text().size(), right.text().size()));
    return three(left.bytes(), right.bytes());  // UTF-8 has the order of code points
  }
  if (is_row(left) && is_row(right) && left.list().form == right.list().form) {
    const Values &a = left.list().items, &b = right.list().items;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(a[i], b[i], run.budget)) return order(run, a[i], b[i], sign);
    }
    return three(a.size(), b.size());
  }
  fail("'" + std::string(sign) + "' not supported between instances of '" + std::string(type_name(left)) + "' and '" +
       std::string(type_name(right)) + "'");
}

bool compare(Run& run, Compared::Sign sign, const Value& left, const Value& right) {
  switch (sign) {
    case Compared::Sign::equal:
      return equal(left, right, run.budget);
    case Compared::Sign::unequal:
      return !equal(left, right, run.budget);
    case Compared::Sign::less:
      return order(run, left, right, "<") < 0;
    case Compared::Sign::less_equal:
      return order(run, left, right, "<=") <= 0;
    case Compared::Sign::greater:
      return order(run, left, right, ">") > 0;
    case Compared::Sign::greater_equal:
      return order(run, left, right, ">=") >= 0;
    case Compared::Sign::in:
      return contains(run, right, left);
    case Compared::Sign::not_in:
      return !contains(run, right, left);
  }
  return false;
}

}  // namespace headwater::model::jinja
