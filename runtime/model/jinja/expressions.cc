// What expressions are worth.

#include "model/jinja/access.h"
#include "model/jinja/functions.h"
#include "model/jinja/operators.h"
#include "model/jinja/print.h"
#include "model/jinja/syntax.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;

Value or_none(const ExpressionPtr& expression, Run& run) {
  return expression == nullptr ? Value::none() : evaluate(*expression, run);
}

}  // namespace

Value evaluate(const Expression& expression, Run& run) {
  const Budget::Level level(run.budget);
  run.budget.step();
  try {
    return expression.evaluate(run);
  } catch (Failure& failure) {
    if (failure.line == 0) failure.line = expression.line;
    throw;
  }
}

Arguments CallArguments::evaluate(Run& run) const {
  Arguments values;
  for (const ExpressionPtr& argument : positional) values.positional.push_back(jinja::evaluate(*argument, run));
  for (const auto& [name, argument] : named) values.named.emplace_back(name, jinja::evaluate(*argument, run));
  return values;
}

Value Constant::evaluate(Run& /*run*/) const { return value; }

Value Name::evaluate(Run& run) const {
  const Value* found = run.scope->find(name);
  return found == nullptr ? run.undefined("'" + name + "' is undefined") : *found;
}

Value Sequence::evaluate(Run& run) const {
  Values values;
  for (const ExpressionPtr& item : items) values.push_back(jinja::evaluate(*item, run));
  return make_list(std::move(values), &run.budget, Origin::written, form);
}

Value Mapping::evaluate(Run& run) const {
  std::vector<Dict::Entry> values;
  for (const auto& [key, value] : entries) {
    Value name = jinja::evaluate(*key, run);
    values.emplace_back(std::move(name), jinja::evaluate(*value, run));
  }
  return make_dict(std::move(values), &run.budget);
}

Value Unary::evaluate(Run& run) const {
  const Value value = jinja::evaluate(*operand, run);
  if (sign == Sign::negate) return Value::boolean(!truthy(value));
  if (value.is(Kind::undefined)) fail_undefined(value);
  if (!value.is_number()) {
    fail("bad operand type for unary " + std::string(sign == Sign::minus ? "-" : "+") + ": '" +
         std::string(type_name(value)) + "'");
  }
  if (value.is(Kind::real)) return Value::real(sign == Sign::minus ? -value.number() : value.number(), value.origin());
  return calculate(run, sign == Sign::minus ? Binary::Sign::subtract : Binary::Sign::add, Value::integer(0), value);
}

Value Binary::evaluate(Run& run) const {
  Value first = jinja::evaluate(*left, run);
  if (sign == Sign::both) return truthy(first) ? jinja::evaluate(*right, run) : first;
  if (sign == Sign::any) return truthy(first) ? first : jinja::evaluate(*right, run);
  return calculate(run, sign, first, jinja::evaluate(*right, run));
}

Value Joined::evaluate(Run& run) const {
  Text text;
  for (const ExpressionPtr& part : parts) {
    const Text more = printed(jinja::evaluate(*part, run), run.budget);
    run.budget.copy(more.size());
    run.budget.check(text.cost() + more.cost());
    text.append(more);
  }
  return run.string(std::move(text));
}

Value Compared::evaluate(Run& run) const {
  Value left = jinja::evaluate(*first, run);
  for (const auto& [sign, other] : others) {
    Value right = jinja::evaluate(*other, run);
    if (!compare(run, sign, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Conditional::evaluate(Run& run) const {
  if (truthy(jinja::evaluate(*condition, run))) return jinja::evaluate(*then, run);
  if (otherwise != nullptr) return jinja::evaluate(*otherwise, run);
  return run.undefined("the inline if-expression on line " + std::to_string(line) +
                       " evaluated to false and no else section was defined.");
}

Value Attribute::evaluate(Run& run) const { return get_attribute(run, jinja::evaluate(*object, run), name); }

Value Item::evaluate(Run& run) const {
  const Value container = jinja::evaluate(*object, run);
  return get_item(run, container, jinja::evaluate(*key, run));
}

Value Slice::evaluate(Run& run) const {
  const Value container = jinja::evaluate(*object, run);
  const Value from = or_none(begin, run), to = or_none(end, run);
  return get_slice(run, container, from, to, or_none(step, run));
}

Value Call::evaluate(Run& run) const {
  // A method is called without being made a value first.
  if (const auto* member = dynamic_cast<const Attribute*>(function.get())) {
    const Value self = jinja::evaluate(*member->object, run);
    if (const Method method = find_method(self, member->name)) {
      const Budget::Level level(run.budget);
      const Arguments values = arguments.evaluate(run);
      run.look_through(self);
      look_through(run, values);
      return method(run, self, values);
    }
    Arguments values = arguments.evaluate(run);
    return jinja::call(run, get_attribute(run, self, member->name), values);
  }
  const Value callee = jinja::evaluate(*function, run);
  Arguments values = arguments.evaluate(run);
  return jinja::call(run, callee, values);
}

Value Filter::evaluate(Run& run) const { return apply(run, jinja::evaluate(*operand, run)); }

Value Filter::apply(Run& run, const Value& input) const {
  try {
    return apply_filter(run, name, input, arguments.evaluate(run));
  } catch (Failure& failure) {
    if (failure.line == 0) failure.line = line;
    throw;
  }
}

Value Test::evaluate(Run& run) const {
  const Value input = jinja::evaluate(*operand, run);
  return Value::boolean(apply_test(run, name, input, arguments.evaluate(run)));
}

}  // namespace headwater::model::jinja
