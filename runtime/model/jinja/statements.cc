// What statements do.

#include "model/jinja/access.h"
#include "model/jinja/print.h"
#include "model/jinja/syntax.h"

namespace headwater::model::jinja {
namespace {

Value filtered(const std::vector<std::unique_ptr<Filter>>& filters, Value value, Run& run) {
  for (const auto& filter : filters) value = filter->apply(run, value);
  return value;
}

/// What a body writes.
Text captured(const Body& body, Run& run) {
  const InnerScope scope(run);
  Capture capture(run);
  execute(body, run);
  return capture.take();
}

}  // namespace

Flow execute(const Body& body, Run& run) {
  const Budget::Level level(run.budget);
  for (const auto& statement : body) {
    run.budget.step();
    try {
      const Flow flow = statement->execute(run);
      if (flow != Flow::next) return flow;
    } catch (Failure& failure) {
      if (failure.line == 0) failure.line = statement->line;
      throw;
    }
  }
  return Flow::next;
}

Flow WriteData::execute(Run& run) const {
  run.write(text, Origin::written);
  return Flow::next;
}

Flow Write::execute(Run& run) const {
  run.write(printed(evaluate(*value, run), run.budget));
  return Flow::next;
}

Flow If::execute(Run& run) const {
  for (const Branch& branch : branches) {
    if (branch.condition == nullptr || truthy(evaluate(*branch.condition, run)))
      return jinja::execute(branch.body, run);
  }
  return Flow::next;
}

void Target::assign(Run& run, const Value& value) const {
  if (!parts.empty()) {
    const bool row = value.is(Value::Kind::list) || value.is(Value::Kind::dict) || value.is(Value::Kind::string);
    if (!row) fail("cannot unpack non-iterable " + std::string(type_name(value)) + " object");
    const Values items = items_of(run, value);
    if (items.size() < parts.size()) {
      fail("not enough values to unpack (expected " + std::to_string(parts.size()) + ", got " +
           std::to_string(items.size()) + ")");
    }
    if (items.size() > parts.size()) fail("too many values to unpack (expected " + std::to_string(parts.size()) + ")");
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].assign(run, items[i]);
    return;
  }
  if (attribute.empty()) return run.scope->set(name, value);
  const Value* owner = run.scope->find(name);
  const auto* space = owner == nullptr ? nullptr : dynamic_cast<const Namespace*>(owner->object());
  if (space == nullptr) fail("cannot assign attribute on non-namespace object");
  run.budget.step(space->attributes.size() / 8);
  space->set(attribute, value);
}

Flow Set::execute(Run& run) const {
  target.assign(run, evaluate(*value, run));
  return Flow::next;
}

Flow SetBlock::execute(Run& run) const {
  Value value = run.string(captured(body, run));
  target.assign(run, filtered(filters, std::move(value), run));
  return Flow::next;
}

Flow FilterBlock::execute(Run& run) const {
  Value value = run.string(captured(body, run));
  run.write(printed(filtered(filters, std::move(value), run), run.budget));
  return Flow::next;
}

Flow With::execute(Run& run) const {
  Values values;
  for (const auto& [name, value] : names) values.push_back(evaluate(*value, run));
  const InnerScope scope(run);
  for (std::size_t i = 0; i < values.size(); ++i) names[i].first.assign(run, values[i]);
  return jinja::execute(body, run);
}

Flow Generation::execute(Run& run) const {
  const InnerScope scope(run);
  return jinja::execute(body, run);
}

}  // namespace headwater::model::jinja
