#pragma once
// Reads the expressions of a template, by Jinja's grammar.
//
// Threading: one caller at a time.

#include <memory>
#include <vector>

#include "model/jinja/syntax.h"
#include "model/jinja/token_stream.h"

namespace headwater::model::jinja {

/// Throws Failure (syntax) with a line.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// a if b else c
  ExpressionPtr whole();
  /// The same without `if`, which may stand behind it.
  ExpressionPtr unconditional() { return either(); }
  /// a, b, c: a tuple, where there is a comma.
  ExpressionPtr tuple(bool conditional);
  /// REQUIRES: "(" is next.
  CallArguments call_arguments();
  /// name(arguments) | name …
  std::vector<std::unique_ptr<Filter>> filters();

 private:
  ExpressionPtr either();
  ExpressionPtr both();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr joined();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool filtered);
  ExpressionPtr primary();
  ExpressionPtr name();
  ExpressionPtr literal();
  ExpressionPtr parenthesised();
  ExpressionPtr list();
  ExpressionPtr mapping();
  ExpressionPtr with_postfix(ExpressionPtr operand);
  ExpressionPtr with_filters(ExpressionPtr operand);
  ExpressionPtr attribute(ExpressionPtr object);
  ExpressionPtr subscript(ExpressionPtr object);
  ExpressionPtr call(ExpressionPtr function);
  ExpressionPtr test(ExpressionPtr operand);
  std::unique_ptr<Filter> filter(ExpressionPtr operand);
  std::string dotted_name(std::string_view wanted);

  template <class Node, class... Init>
  std::unique_ptr<Node> make(Init&&... init) const {
    auto node = std::make_unique<Node>(std::forward<Init>(init)...);
    node->line = tokens_.now().line;
    return node;
  }
  /// Notes that `child` is below `node`. Throws where the tree gets too high.
  void above(Expression& node, const ExpressionPtr& child) const;
  ExpressionPtr binary(Binary::Sign sign, ExpressionPtr left, ExpressionPtr right) const;
  void above(Expression& node, const CallArguments& arguments) const;

  TokenStream& tokens_;
};

}  // namespace headwater::model::jinja
