#include "model/jinja/run.h"

namespace headwater::model::jinja {

void Scope::set(std::string_view name, Value value) {
  for (auto& [known, old] : names) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  names.emplace_back(name, std::move(value));
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer.get()) {
    for (const auto& [known, value] : scope->names) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

Run::~Run() {
  // What is taken out lives until the list of all has gone: nothing lets go of another in a long chain.
  std::vector<std::vector<std::pair<std::string, Value>>> values;
  for (const auto& space : namespaces) values.push_back(std::exchange(space->attributes, {}));
  for (const auto& scope : kept_scopes) values.push_back(std::exchange(scope->names, {}));
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
