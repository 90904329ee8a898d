#include "model/jinja/run.h"

namespace headwater::model::jinja {

void Scope::set(std::string_view name, Value value) { names.insert_or_assign(std::string(name), std::move(value)); }

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer.get()) {
    const auto found = scope->names.find(name);
    if (found != scope->names.end()) return &found->second;
  }
  return nullptr;
}

Run::~Run() {
  // What is taken out lives until the list of all has gone: nothing lets go of another in a long chain.
  Values values;
  for (const auto& space : namespaces) {
    for (auto& [name, value] : space->attributes) values.push_back(std::exchange(value, {}));
  }
  for (const auto& kept : kept_scopes) {
    for (auto& [name, value] : kept->names) values.push_back(std::exchange(value, {}));
  }
}

void Run::write(const Text& text) {
  budget.copy(text.size());
  if (out.size() + text.size() > budget.limits().output) {
    Budget::exceeded("writes more than " + std::to_string(budget.limits().output >> 20U) + " MiB");
  }
  budget.check(out.cost() + text.cost());
  out.append(text);
}

void Run::write(std::string_view bytes, Origin origin) {
  budget.copy(bytes.size());
  if (out.size() + bytes.size() > budget.limits().output) {
    Budget::exceeded("writes more than " + std::to_string(budget.limits().output >> 20U) + " MiB");
  }
  budget.check(out.cost() + bytes.size());
  out.append(bytes, origin);
}

Value Run::string(std::string bytes, Origin origin) { return string(Text(std::move(bytes), origin)); }

Value Run::string(Text text) {
  budget.copy(text.size());
  return Value::string(std::move(text), &budget);
}

Value Run::undefined(std::string why) {
  budget.copy(why.size());
  return Value::undefined(std::move(why), &budget);
}

void Run::look_through(const Value& value) {
  if (value.is(Value::Kind::string)) budget.copy(value.text().size());
  if (value.is(Value::Kind::list)) budget.copy(value.list().items.size() * sizeof(Value));
  if (value.is(Value::Kind::dict)) budget.copy(value.dict().entries().size() * sizeof(Value));
}

void Run::keep(const std::shared_ptr<Scope>& scope) {
  for (std::shared_ptr<Scope> each = scope; each != nullptr && !each->kept; each = each->outer) {
    budget.hold(sizeof(Scope));
    each->kept = true;
    kept_scopes.push_back(each);
  }
}

InnerScope::InnerScope(Run& run, std::shared_ptr<Scope> outer)
    : run_(run), before_(std::exchange(run.scope, std::make_shared<Scope>(std::move(outer)))) {}

}  // namespace headwater::model::jinja
