#pragma once
// An expression of a Jinja template: parsed and evaluated. Only what chat templates reach with plain conversations;
// anything else is said to be unknown, never guessed.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/jinja_value.h"

namespace headwater::model::jinja {

/// What an evaluation may take, and what has gone wrong in it.
struct Run {
  Dict names;
  int steps_left = 20'000;
  std::string unknown;  ///< what is not understood; empty: all was
  bool raised = false;  ///< the template refuses the conversation

  bool stopped() const { return raised || !unknown.empty(); }
  /// Notes the first thing that is not understood. Gives nothing, for the caller to return.
  Value stop(std::string what) {
    if (!stopped()) unknown = std::move(what);
    return {};
  }
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

/// One of: literal, name, list, attribute (child 0, text), index (0, 1), slice (0; 1 and 2 may be null; text:
/// "backwards", all of it), call (0, then arguments; names of named ones in `keys`), filter (0, text, then arguments),
/// test (0, text), operator (text).
struct Node {
  enum class Kind { literal, name, list, attribute, index, slice, call, filter, test, unary, binary, ternary };
  Kind kind = Kind::literal;
  std::string text;
  Value value;
  std::vector<NodePtr> children;
  std::vector<std::string> keys;
};

/// Null, with `run` stopped, where the text is not understood.
NodePtr parse_expression(std::string_view text, Run& run);

Value evaluate(const Node& node, Run& run);

/// Parses and evaluates.
Value evaluate(std::string_view text, Run& run);

/// As {{ }} prints it.
std::string printed(const Value& value, Run& run);

}  // namespace headwater::model::jinja
