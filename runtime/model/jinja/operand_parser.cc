// ExpressionParser's operands: names, literals, and what stands in brackets.

#include <charconv>

#include "model/jinja/expression_parser.h"

namespace headwater::model::jinja {
namespace {

using Kind = Token::Kind;

}  // namespace

ExpressionPtr ExpressionParser::primary() {
  if (tokens_.is(Kind::name)) return name();
  if (tokens_.is(Kind::string) || tokens_.is(Kind::integer) || tokens_.is(Kind::real)) return literal();
  if (tokens_.is_sign("(")) return parenthesised();
  if (tokens_.is_sign("[")) return list();
  if (tokens_.is_sign("{")) return mapping();
  tokens_.mistake("a value");
}

ExpressionPtr ExpressionParser::name() {
  const std::string& text = tokens_.now().text;
  ExpressionPtr node;
  if (text == "true" || text == "True") {
    node = make<Constant>(Value::boolean(true));
  } else if (text == "false" || text == "False") {
    node = make<Constant>(Value::boolean(false));
  } else if (text == "none" || text == "None") {
    node = make<Constant>(Value::none());
  } else {
    node = make<Name>(text);
  }
  tokens_.take();
  return node;
}

ExpressionPtr ExpressionParser::literal() {
  const std::size_t line = tokens_.now().line;
  if (tokens_.is(Kind::string)) {
    auto node = make<Constant>(Value());
    std::string text;
    while (tokens_.is(Kind::string)) text += tokens_.take().text;
    node->value = Value::string(Text(std::move(text), Origin::written), nullptr);
    return node;
  }
  auto node = make<Constant>(Value());
  const Token token = tokens_.take();
  const char* end = token.text.data() + token.text.size();
  if (token.kind == Kind::real) {
    double number = 0;
    if (std::from_chars(token.text.data(), end, number).ec != std::errc{})
      tokens_.mistake_at(line, "a number too large");
    node->value = Value::real(number);
    return node;
  }
  std::int64_t number = 0;
  const char base = token.text.size() > 2 ? static_cast<char>(token.text[1] | 0x20) : '\0';
  const int radix = base == 'x' ? 16 : base == 'o' ? 8 : base == 'b' ? 2 : 10;
  const auto read = std::from_chars(token.text.data() + (radix == 10 ? 0 : 2), end, number, radix);
  if (read.ec != std::errc{} || read.ptr != end)
    tokens_.mistake_at(line, "a number beyond 64 bits: " + token.text.substr(0, 40));
  node->value = Value::integer(number);
  return node;
}

ExpressionPtr ExpressionParser::parenthesised() {
  const TokenStream::Level level(tokens_);
  auto node = make<Sequence>();
  tokens_.expect_sign("(");
  if (tokens_.take_sign(")")) {
    node->form = List::Form::tuple;
    return node;
  }
  ExpressionPtr inner = tuple(true);
  tokens_.expect_sign(")");
  return inner;
}

ExpressionPtr ExpressionParser::list() {
  auto node = make<Sequence>();
  tokens_.expect_sign("[");
  while (!tokens_.take_sign("]")) {
    if (!node->items.empty()) {
      tokens_.expect_sign(",");
      if (tokens_.take_sign("]")) break;
    }
    node->items.push_back(whole());
    above(*node, node->items.back());
  }
  return node;
}

ExpressionPtr ExpressionParser::mapping() {
  auto node = make<Mapping>();
  tokens_.expect_sign("{");
  while (!tokens_.take_sign("}")) {
    if (!node->entries.empty()) {
      tokens_.expect_sign(",");
      if (tokens_.take_sign("}")) break;
    }
    ExpressionPtr key = whole();
    tokens_.expect_sign(":");
    node->entries.emplace_back(std::move(key), whole());
    above(*node, node->entries.back().first);
    above(*node, node->entries.back().second);
  }
  return node;
}

}  // namespace headwater::model::jinja
