#include "model/jinja/expression_parser.h"

#include <algorithm>

namespace headwater::model::jinja {
namespace {

/// Of a tree: the longest chain of operators, calls and brackets.
constexpr std::uint32_t kHighest = 400;

using Kind = Token::Kind;

}  // namespace

void ExpressionParser::above(Expression& node, const ExpressionPtr& child) const {
  if (child == nullptr) return;
  node.height = std::max(node.height, child->height + 1);
  if (node.height > kHighest) {
    tokens_.mistake_at(node.line, "an expression of more than " + std::to_string(kHighest) + " parts is not supported");
  }
}

void ExpressionParser::above(Expression& node, const CallArguments& arguments) const {
  for (const ExpressionPtr& argument : arguments.positional) above(node, argument);
  for (const auto& [name, argument] : arguments.named) above(node, argument);
}

ExpressionPtr ExpressionParser::whole() {
  const TokenStream::Level level(tokens_);
  ExpressionPtr expression = either();
  while (tokens_.is_name("if")) {
    auto node = make<Conditional>();
    tokens_.take();
    node->then = std::move(expression);
    node->condition = either();
    if (tokens_.take_name("else")) node->otherwise = whole();
    above(*node, node->then);
    above(*node, node->condition);
    above(*node, node->otherwise);
    expression = std::move(node);
  }
  return expression;
}

ExpressionPtr ExpressionParser::tuple(bool conditional) {
  const auto ends = [&] {
    return tokens_.is(Kind::output_end) || tokens_.is(Kind::block_end) || tokens_.is_sign(")") ||
           tokens_.is_name("recursive");
  };
  const auto one = [&] { return conditional ? whole() : either(); };
  ExpressionPtr first = one();
  if (!tokens_.is_sign(",")) return first;
  auto node = make<Sequence>();
  node->form = List::Form::tuple;
  node->items.push_back(std::move(first));
  while (tokens_.take_sign(",") && !ends()) node->items.push_back(one());
  for (const ExpressionPtr& item : node->items) above(*node, item);
  return node;
}

ExpressionPtr ExpressionParser::binary(Binary::Sign sign, ExpressionPtr left, ExpressionPtr right) const {
  auto node = make<Binary>();
  node->sign = sign;
  node->left = std::move(left);
  node->right = std::move(right);
  above(*node, node->left);
  above(*node, node->right);
  return node;
}

ExpressionPtr ExpressionParser::either() {
  ExpressionPtr left = both();
  while (tokens_.take_name("or")) left = binary(Binary::Sign::any, std::move(left), both());
  return left;
}

ExpressionPtr ExpressionParser::both() {
  ExpressionPtr left = negation();
  while (tokens_.take_name("and")) left = binary(Binary::Sign::both, std::move(left), negation());
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  const TokenStream::Level level(tokens_);
  auto node = make<Unary>();
  tokens_.take();
  node->sign = Unary::Sign::negate;
  node->operand = negation();
  above(*node, node->operand);
  return node;
}

ExpressionPtr ExpressionParser::comparison() {
  using Sign = Compared::Sign;
  static constexpr std::pair<std::string_view, Sign> kSigns[] = {{"==", Sign::equal},         {"!=", Sign::unequal},
                                                                 {"<", Sign::less},           {"<=", Sign::less_equal},
                                                                 {">=", Sign::greater_equal}, {">", Sign::greater}};
  const auto next = [&]() -> std::optional<Sign> {
    for (const auto& [text, sign] : kSigns) {
      if (tokens_.take_sign(text)) return sign;
    }
    if (tokens_.take_name("in")) return Sign::in;
    if (!tokens_.is_name("not") || tokens_.next().kind != Kind::name || tokens_.next().text != "in")
      return std::nullopt;
    tokens_.take();
    tokens_.take();
    return Sign::not_in;
  };
  ExpressionPtr first = sum();
  auto node = make<Compared>();
  while (const auto sign = next()) node->others.emplace_back(*sign, sum());
  if (node->others.empty()) return first;
  node->first = std::move(first);
  above(*node, node->first);
  for (const auto& [sign, other] : node->others) above(*node, other);
  return node;
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = joined();
  while (true) {
    if (tokens_.take_sign("+")) {
      left = binary(Binary::Sign::add, std::move(left), joined());
    } else if (tokens_.take_sign("-")) {
      left = binary(Binary::Sign::subtract, std::move(left), joined());
    } else {
      return left;
    }
  }
}

ExpressionPtr ExpressionParser::joined() {
  ExpressionPtr first = product();
  if (!tokens_.is_sign("~")) return first;
  auto node = make<Joined>();
  node->parts.push_back(std::move(first));
  while (tokens_.take_sign("~")) node->parts.push_back(product());
  for (const ExpressionPtr& part : node->parts) above(*node, part);
  return node;
}

ExpressionPtr ExpressionParser::product() {
  static constexpr std::pair<std::string_view, Binary::Sign> kSigns[] = {{"*", Binary::Sign::multiply},
                                                                         {"//", Binary::Sign::floor},
                                                                         {"/", Binary::Sign::divide},
                                                                         {"%", Binary::Sign::modulo}};
  ExpressionPtr left = power();
  while (true) {
    const auto* sign = std::ranges::find_if(kSigns, [&](const auto& known) { return tokens_.take_sign(known.first); });
    if (sign == std::end(kSigns)) return left;
    left = binary(sign->second, std::move(left), power());
  }
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary(true);
  while (tokens_.take_sign("**")) left = binary(Binary::Sign::power, std::move(left), unary(true));
  return left;
}

ExpressionPtr ExpressionParser::unary(bool filtered) {
  const TokenStream::Level level(tokens_);
  ExpressionPtr operand;
  if (tokens_.is_sign("-") || tokens_.is_sign("+")) {
    auto node = make<Unary>();
    node->sign = tokens_.take().text == "-" ? Unary::Sign::minus : Unary::Sign::plus;
    node->operand = unary(false);
    above(*node, node->operand);
    operand = std::move(node);
  } else {
    operand = primary();
  }
  operand = with_postfix(std::move(operand));
  return filtered ? with_filters(std::move(operand)) : std::move(operand);
}

ExpressionPtr ExpressionParser::with_postfix(ExpressionPtr operand) {
  while (true) {
    if (tokens_.is_sign(".")) {
      operand = attribute(std::move(operand));
    } else if (tokens_.is_sign("[")) {
      operand = subscript(std::move(operand));
    } else if (tokens_.is_sign("(")) {
      operand = call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::with_filters(ExpressionPtr operand) {
  while (true) {
    if (tokens_.take_sign("|")) {
      operand = filter(std::move(operand));
    } else if (tokens_.take_name("is")) {
      operand = test(std::move(operand));
    } else if (tokens_.is_sign("(")) {
      operand = call(std::move(operand));
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr object) {
  tokens_.expect_sign(".");
  if (tokens_.is(Kind::integer)) {
    auto node = make<Item>();
    node->key = literal();
    node->object = std::move(object);
    above(*node, node->object);
    return node;
  }
  auto node = make<Attribute>();
  node->name = tokens_.take_any_name("a name");
  node->object = std::move(object);
  above(*node, node->object);
  return node;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object) {
  auto slice = make<Slice>();
  tokens_.expect_sign("[");
  ExpressionPtr begin = tokens_.is_sign(":") ? nullptr : tuple(true);
  if (!tokens_.is_sign(":")) {
    auto node = make<Item>();
    tokens_.expect_sign("]");
    node->object = std::move(object);
    node->key = std::move(begin);
    above(*node, node->object);
    above(*node, node->key);
    return node;
  }
  const auto part = [&]() -> ExpressionPtr { return tokens_.is_sign(":") || tokens_.is_sign("]") ? nullptr : whole(); };
  slice->object = std::move(object);
  slice->begin = std::move(begin);
  tokens_.expect_sign(":");
  slice->end = part();
  if (tokens_.take_sign(":")) slice->step = part();
  tokens_.expect_sign("]");
  for (const ExpressionPtr* child : {&slice->object, &slice->begin, &slice->end, &slice->step}) above(*slice, *child);
  return slice;
}

CallArguments ExpressionParser::call_arguments() {
  CallArguments arguments;
  tokens_.expect_sign("(");
  for (bool first = true; !tokens_.take_sign(")"); first = false) {
    if (!first) {
      tokens_.expect_sign(",");
      if (tokens_.take_sign(")")) break;
    }
    const Token& next = tokens_.next();
    if (tokens_.is_sign("*") || tokens_.is_sign("**")) tokens_.mistake("an argument (lists of them are not supported)");
    if (tokens_.is(Kind::name) && next.kind == Kind::sign && next.text == "=") {
      std::string name = tokens_.take().text;
      tokens_.take();
      arguments.named.emplace_back(std::move(name), whole());
    } else {
      if (!arguments.named.empty()) tokens_.mistake("an argument with a name");
      arguments.positional.push_back(whole());
    }
  }
  return arguments;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr function) {
  auto node = make<Call>();
  node->function = std::move(function);
  node->arguments = call_arguments();
  above(*node, node->function);
  above(*node, node->arguments);
  return node;
}

std::string ExpressionParser::dotted_name(std::string_view wanted) {
  std::string name = tokens_.take_any_name(wanted);
  while (tokens_.take_sign(".")) name += "." + tokens_.take_any_name(wanted);
  return name;
}

std::unique_ptr<Filter> ExpressionParser::filter(ExpressionPtr operand) {
  auto node = make<Filter>();
  node->operand = std::move(operand);
  node->name = dotted_name("the name of a filter");
  if (tokens_.is_sign("(")) node->arguments = call_arguments();
  above(*node, node->operand);
  above(*node, node->arguments);
  return node;
}

std::vector<std::unique_ptr<Filter>> ExpressionParser::filters() {
  std::vector<std::unique_ptr<Filter>> all;
  do {
    all.push_back(filter(nullptr));
  } while (tokens_.take_sign("|"));
  return all;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr operand) {
  auto node = make<Test>();
  const bool negated = tokens_.take_name("not");
  node->operand = std::move(operand);
  node->name = dotted_name("the name of a test");
  const bool argument = tokens_.is(Kind::name) || tokens_.is(Kind::string) || tokens_.is(Kind::integer) ||
                        tokens_.is(Kind::real) || tokens_.is_sign("[") || tokens_.is_sign("{");
  const bool goes_on = tokens_.is_name("else") || tokens_.is_name("or") || tokens_.is_name("and");
  if (tokens_.is_sign("(")) {
    node->arguments = call_arguments();
  } else if (argument && !goes_on) {
    if (tokens_.is_name("is")) tokens_.mistake("an operator between two tests");
    node->arguments.positional.push_back(with_postfix(primary()));
  }
  above(*node, node->operand);
  above(*node, node->arguments);
  if (!negated) return node;
  auto negation = make<Unary>();
  negation->sign = Unary::Sign::negate;
  negation->operand = std::move(node);
  above(*negation, negation->operand);
  return negation;
}

}  // namespace headwater::model::jinja
