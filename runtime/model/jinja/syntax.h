#pragma once
// What a template is made of once it has been read.
//
// Threading: nothing changes after it was read; any thread may evaluate, each with a Run of its own.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/jinja/callable.h"
#include "model/jinja/run.h"

namespace headwater::model::jinja {

struct Expression {
  virtual ~Expression() = default;
  virtual Value evaluate(Run& run) const = 0;

  std::uint32_t height = 1;  ///< of the tree below it
  std::size_t line = 0;
};
using ExpressionPtr = std::unique_ptr<Expression>;
using Expressions = std::vector<ExpressionPtr>;

/// Evaluates within the bounds of depth and steps; what fails without a line gets that of `expression`.
Value evaluate(const Expression& expression, Run& run);

struct CallArguments {
  Expressions positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  Arguments evaluate(Run& run) const;
};

struct Constant : Expression {
  explicit Constant(Value value) : value(std::move(value)) {}
  Value evaluate(Run& run) const override;
  Value value;
};

struct Name : Expression {
  explicit Name(std::string name) : name(std::move(name)) {}
  Value evaluate(Run& run) const override;
  std::string name;
};

/// A list or a tuple.
struct Sequence : Expression {
  Value evaluate(Run& run) const override;
  Expressions items;
  List::Form form = List::Form::list;
};

struct Mapping : Expression {
  Value evaluate(Run& run) const override;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};

struct Unary : Expression {
  enum class Sign : std::uint8_t { minus, plus, negate };
  Value evaluate(Run& run) const override;
  Sign sign = Sign::plus;
  ExpressionPtr operand;
};

struct Binary : Expression {
  enum class Sign : std::uint8_t { add, subtract, multiply, divide, floor, modulo, power, both, any };
  Value evaluate(Run& run) const override;
  Sign sign = Sign::add;
  ExpressionPtr left, right;
};

/// a ~ b ~ …
struct Joined : Expression {
  Value evaluate(Run& run) const override;
  Expressions parts;
};

/// a < b <= c …
struct Compared : Expression {
  enum class Sign : std::uint8_t { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };
  Value evaluate(Run& run) const override;
  ExpressionPtr first;
  std::vector<std::pair<Sign, ExpressionPtr>> others;
};

/// a if b else c
struct Conditional : Expression {
  Value evaluate(Run& run) const override;
  ExpressionPtr condition, then, otherwise;  ///< otherwise: null where there is none
};

struct Attribute : Expression {
  Value evaluate(Run& run) const override;
  ExpressionPtr object;
  std::string name;
};

struct Item : Expression {
  Value evaluate(Run& run) const override;
  ExpressionPtr object, key;
};

/// object[begin:end:step], each of which may be missing
struct Slice : Expression {
  Value evaluate(Run& run) const override;
  ExpressionPtr object, begin, end, step;
};

struct Call : Expression {
  Value evaluate(Run& run) const override;
  ExpressionPtr function;
  CallArguments arguments;
};

/// operand | name(arguments)
struct Filter : Expression {
  Value evaluate(Run& run) const override;
  Value apply(Run& run, const Value& input) const;
  ExpressionPtr operand;  ///< null: of a block
  std::string name;
  CallArguments arguments;
};

/// operand is name arguments
struct Test : Expression {
  Value evaluate(Run& run) const override;
  ExpressionPtr operand;
  std::string name;
  CallArguments arguments;
};

/// What happens after a statement.
enum class Flow : std::uint8_t { next, leave, again };

struct Statement {
  virtual ~Statement() = default;
  virtual Flow execute(Run& run) const = 0;
  std::size_t line = 0;
};
using Body = std::vector<std::unique_ptr<Statement>>;

/// One after the other, until one leaves the loop around them.
Flow execute(const Body& body, Run& run);

struct WriteData : Statement {
  explicit WriteData(std::string text) : text(std::move(text)) {}
  Flow execute(Run& run) const override;
  std::string text;
};

struct Write : Statement {
  Flow execute(Run& run) const override;
  ExpressionPtr value;
};

struct If : Statement {
  struct Branch {
    ExpressionPtr condition;  ///< null: else
    Body body;
  };
  Flow execute(Run& run) const override;
  std::vector<Branch> branches;
};

/// A name, a namespace's attribute, or several of them for what is a list.
struct Target {
  void assign(Run& run, const Value& value) const;
  std::string name;
  std::string attribute;      ///< of the namespace `name`; empty: the name itself
  std::vector<Target> parts;  ///< several
};

struct For : Statement {
  Flow execute(Run& run) const override;
  Target target;
  ExpressionPtr items, condition;  ///< condition: null where there is none
  Body body, otherwise;
};

struct Set : Statement {
  Flow execute(Run& run) const override;
  Target target;
  ExpressionPtr value;
};

/// What stands between {% set … %} and {% endset %}, through filters.
struct SetBlock : Statement {
  Flow execute(Run& run) const override;
  Target target;
  std::vector<std::unique_ptr<Filter>> filters;
  Body body;
};

struct FilterBlock : Statement {
  Flow execute(Run& run) const override;
  std::vector<std::unique_ptr<Filter>> filters;
  Body body;
};

struct With : Statement {
  Flow execute(Run& run) const override;
  std::vector<std::pair<Target, ExpressionPtr>> names;
  Body body;
};

/// A macro, or the body of a {% call %}.
struct Macro : Statement {
  Flow execute(Run& run) const override;
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  ///< null: no default
  Body body;
  bool takes_more_positional = false, takes_more_named = false, takes_caller = false;
};

struct CallBlock : Statement {
  Flow execute(Run& run) const override;
  Macro caller;
  std::unique_ptr<Call> call;
};

/// {% generation %}, which marks what a model has said, for training.
struct Generation : Statement {
  Flow execute(Run& run) const override;
  Body body;
};

struct Jump : Statement {
  explicit Jump(Flow flow) : flow(flow) {}
  Flow execute(Run& /*run*/) const override { return flow; }
  Flow flow;
};

}  // namespace headwater::model::jinja
