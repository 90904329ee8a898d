// {% for %}, and what `loop` is inside of it.

#include <algorithm>

#include "model/jinja/access.h"
#include "model/jinja/callable.h"
#include "model/jinja/syntax.h"

namespace headwater::model::jinja {
namespace {

/// loop.cycle(a, b, …)
struct Cycle : Callable {
  Cycle(std::size_t index, Budget* budget) : Callable(budget), index(index) {}
  Value call(Run& /*run*/, Arguments& arguments) const override {
    if (arguments.positional.empty()) fail("no items for cycling given");
    return arguments.positional[index % arguments.positional.size()];
  }
  const std::size_t index;
};

/// loop.changed(value): whether it is another one than in the last call.
struct Changed : Callable {
  Changed(std::shared_ptr<Values> last, Budget* budget) : Callable(budget), last(std::move(last)) {}
  Value call(Run& run, Arguments& arguments) const override {
    const Values& now = arguments.positional;
    const bool same = std::equal(last->begin(), last->end(), now.begin(), now.end(),
                                 [&](const Value& a, const Value& b) { return equal(a, b, run.budget); });
    if (!same) *last = now;
    return Value::boolean(!same);
  }
  const std::shared_ptr<Values> last;
};

struct Loop : Object {
  Loop(const Values& items, std::size_t depth, Budget* budget) : Object(budget), items(&items), depth(depth) {
    hold(sizeof(Loop));
  }

  std::string_view type_name() const override { return "jinja2.runtime.LoopContext object"; }

  std::optional<Value> attribute(std::string_view name, Run& run) const override {
    if (items == nullptr) return std::nullopt;  // it is over
    const auto number = [](std::size_t n) { return Value::integer(static_cast<std::int64_t>(n)); };
    const std::size_t size = items->size();
    if (name == "index") return number(index + 1);
    if (name == "index0") return number(index);
    if (name == "revindex") return number(size - index);
    if (name == "revindex0") return number(size - index - 1);
    if (name == "first") return Value::boolean(index == 0);
    if (name == "last") return Value::boolean(index + 1 == size);
    if (name == "length") return number(size);
    if (name == "depth") return number(depth + 1);
    if (name == "depth0") return number(depth);
    if (name == "previtem") return index > 0 ? (*items)[index - 1] : run.undefined("there is no previous item");
    if (name == "nextitem") return index + 1 < size ? (*items)[index + 1] : run.undefined("there is no next item");
    if (name == "cycle") return Value::of(Value::Kind::callable, std::make_shared<Cycle>(index, &run.budget));
    if (name == "changed") return Value::of(Value::Kind::callable, std::make_shared<Changed>(changed, &run.budget));
    return std::nullopt;
  }

  const Values* items;  ///< null once the loop is over, which a template may outlast with `loop` in its hands
  const std::size_t depth;
  std::size_t index = 0;
  std::shared_ptr<Values> changed = std::make_shared<Values>();
};

/// Tells the loop that it is over, however that came.
struct Ending {
  explicit Ending(Loop& loop) : loop(loop) {}
  ~Ending() {
    loop.items = nullptr;
    loop.changed->clear();
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  Loop& loop;
};

Values chosen(const For& loop, Run& run) {
  Values items = items_of(run, evaluate(*loop.items, run));
  if (loop.condition == nullptr) return items;
  Values kept;
  for (Value& item : items) {
    const InnerScope scope(run);
    loop.target.assign(run, item);
    if (truthy(evaluate(*loop.condition, run))) kept.push_back(std::move(item));
  }
  return kept;
}

}  // namespace

Flow For::execute(Run& run) const {
  const Values all = chosen(*this, run);
  if (all.empty()) {
    const InnerScope scope(run);
    return jinja::execute(otherwise, run);
  }
  const auto state = std::make_shared<Loop>(all, 0, &run.budget);
  const Ending ending(*state);
  for (std::size_t i = 0; i < all.size(); ++i) {
    // What a turn sets is gone after it; namespaces are shared.
    run.budget.step();
    const InnerScope scope(run);
    state->index = i;
    run.scope->set("loop", Value::of(Value::Kind::object, state));
    target.assign(run, all[i]);
    if (jinja::execute(body, run) == Flow::leave) break;
  }
  return Flow::next;
}

}  // namespace headwater::model::jinja
