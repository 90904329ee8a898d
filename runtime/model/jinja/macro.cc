// {% macro %} and {% call %}.

#include <algorithm>

#include "model/jinja/callable.h"
#include "model/jinja/print.h"
#include "model/jinja/syntax.h"

namespace headwater::model::jinja {
namespace {

struct MacroValue : Callable {
  MacroValue(const Macro& macro, const std::shared_ptr<Scope>& scope, Budget* budget)
      : Callable(budget), macro(macro), scope(scope) {
    hold(sizeof(MacroValue));
  }
  Value call(Run& run, Arguments& arguments) const override;
  std::string_view type_name() const override { return "Macro"; }
  std::optional<Value> attribute(std::string_view name, Run& run) const override {
    if (name == "name") return run.string(macro.name, Origin::written);
    return std::nullopt;
  }

  /// What was given beyond the parameters.
  void bind_more(Run& run, Arguments& arguments, std::vector<bool>& used) const;

  const Macro& macro;
  const std::weak_ptr<Scope> scope;  ///< which the run keeps
};

void MacroValue::bind_more(Run& run, Arguments& arguments, std::vector<bool>& used) const {
  const std::size_t n = macro.parameters.size();
  if (arguments.positional.size() > n && !macro.takes_more_positional) {
    fail("macro '" + macro.name + "' takes not more than " + std::to_string(n) + " argument(s)");
  }
  std::vector<Dict::Entry> more;
  for (std::size_t i = 0; i < arguments.named.size(); ++i) {
    auto& [name, value] = arguments.named[i];
    if (used[i]) continue;
    if (name == "caller") {
      run.scope->set("caller", value);
      continue;
    }
    if (!macro.takes_more_named) fail("macro '" + macro.name + "' takes no keyword argument '" + name + "'");
    more.emplace_back(run.string(name, Origin::written), std::move(value));
  }
  if (macro.takes_more_named) run.scope->set("kwargs", make_dict(std::move(more), &run.budget));
  if (!macro.takes_more_positional) return;
  Values rest;
  if (arguments.positional.size() > n) {
    rest.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(n), arguments.positional.end());
  }
  run.scope->set("varargs", make_list(std::move(rest), &run.budget, Origin::written, List::Form::tuple));
}

Value MacroValue::call(Run& run, Arguments& arguments) const {
  const InnerScope own(run, scope.lock());
  std::vector<bool> used(arguments.named.size());
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const std::string& name = macro.parameters[i].first;
    const ExpressionPtr& otherwise = macro.parameters[i].second;
    run.budget.step(1 + arguments.named.size() / 8);
    const auto given = std::ranges::find_if(arguments.named, [&](const auto& one) { return one.first == name; });
    if (i < arguments.positional.size()) {
      run.scope->set(name, arguments.positional[i]);
    } else if (given != arguments.named.end()) {
      used[static_cast<std::size_t>(given - arguments.named.begin())] = true;
      run.scope->set(name, given->second);
    } else if (otherwise != nullptr) {
      run.scope->set(name, evaluate(*otherwise, run));
    } else {
      run.scope->set(name, run.undefined("parameter '" + name + "' was not provided"));
    }
  }
  bind_more(run, arguments, used);
  Capture capture(run);
  execute(macro.body, run);
  return run.string(capture.take());
}

Value macro_value(const Macro& macro, Run& run) {
  run.keep(run.scope);
  return Value::of(Value::Kind::callable, std::make_shared<MacroValue>(macro, run.scope, &run.budget));
}

}  // namespace

Flow Macro::execute(Run& run) const {
  run.scope->set(name, macro_value(*this, run));
  return Flow::next;
}

Flow CallBlock::execute(Run& run) const {
  Arguments arguments = call->arguments.evaluate(run);
  arguments.named.emplace_back("caller", macro_value(caller, run));
  const Value callee = evaluate(*call->function, run);
  run.write(printed(jinja::call(run, callee, arguments), run.budget));
  return Flow::next;
}

}  // namespace headwater::model::jinja
