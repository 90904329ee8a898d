// Expressions of Jinja, from text to a tree.

#include <algorithm>
#include <array>
#include <cctype>

#include "model/jinja_expression.h"

namespace headwater::model::jinja {
namespace {

constexpr int kMaxDepth = 64;

struct Token {
  enum class Kind { end, text, number, name, symbol };
  Kind kind = Kind::end;
  std::string text;
};

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// A text between quotes, at the front of `rest`, which it is taken off.
std::string quoted(std::string_view& rest) {
  const char quote = rest.front();
  std::string text;
  std::size_t i = 1;
  for (; i < rest.size() && rest[i] != quote; ++i) {
    if (rest[i] != '\\' || i + 1 == rest.size()) {
      text += rest[i];
      continue;
    }
    const char c = rest[++i];
    text += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return text;
}

std::vector<Token> tokens_of(std::string_view rest) {
  constexpr std::array<std::string_view, 6> kLong = {"==", "!=", "<=", ">=", "//", "**"};
  std::vector<Token> tokens;
  while (!rest.empty()) {
    const char c = rest.front();
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      rest.remove_prefix(1);
    } else if (c == '"' || c == '\'') {
      tokens.push_back({Token::Kind::text, quoted(rest)});
    } else if (is_name(c)) {
      std::size_t n = 1;
      while (n < rest.size() && is_name(rest[n])) ++n;
      const bool number = std::isdigit(static_cast<unsigned char>(c)) != 0;
      tokens.push_back({number ? Token::Kind::number : Token::Kind::name, std::string(rest.substr(0, n))});
      rest.remove_prefix(n);
    } else {
      const bool two = std::ranges::find(kLong, rest.substr(0, 2)) != kLong.end();
      tokens.push_back({Token::Kind::symbol, std::string(rest.substr(0, two ? 2 : 1))});
      rest.remove_prefix(two ? 2 : 1);
    }
  }
  tokens.emplace_back();
  return tokens;
}

/// Recursive descent, in the order in which operators bind.
class Parser {
 public:
  Parser(std::string_view text, Run& run) : tokens_(tokens_of(text)), run_(run) {}

  NodePtr whole() {
    constexpr std::size_t kMostTokens = 4096;  // a tree is no deeper, and is walked by recursion
    if (tokens_.size() > kMostTokens) run_.stop("an expression of thousands of words");
    if (run_.stopped()) return nullptr;
    NodePtr node = ternary();
    if (!run_.stopped() && at().kind != Token::Kind::end) fail();
    return run_.stopped() ? nullptr : std::move(node);
  }

 private:
  using Kind = Node::Kind;

  const Token& at() const { return tokens_[next_]; }
  bool sees(std::string_view text) const {
    return at().kind != Token::Kind::text && at().kind != Token::Kind::end && at().text == text;
  }
  bool take(std::string_view text) {
    if (!sees(text)) return false;
    ++next_;
    return true;
  }
  void expect(std::string_view text) {
    if (!take(text)) fail();
  }
  std::string name() {
    if (at().kind == Token::Kind::name) return tokens_[next_++].text;
    fail();
    return "";
  }
  NodePtr fail() {
    run_.stop(at().kind == Token::Kind::end ? "an expression without an end" : "\"" + at().text + "\"");
    return make(Kind::literal, "");
  }

  template <class... Children>
  static NodePtr make(Kind kind, std::string text, Children... children) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->text = std::move(text);
    (node->children.push_back(std::move(children)), ...);
    return node;
  }
  static NodePtr literal(Value value) {
    auto node = make(Kind::literal, "");
    node->value = std::move(value);
    return node;
  }

  NodePtr ternary() {
    if (++depth_ > kMaxDepth) run_.stop("an expression that is nested deeply");
    if (run_.stopped()) return literal({});
    NodePtr node = either();
    if (take("if")) {
      NodePtr condition = either();
      NodePtr other = take("else") ? ternary() : literal({});
      node = make(Kind::ternary, "", std::move(condition), std::move(node), std::move(other));
    }
    --depth_;
    return node;
  }
  NodePtr either() {
    NodePtr node = both();
    while (take("or")) node = make(Kind::binary, "or", std::move(node), both());
    return node;
  }
  NodePtr both() {
    NodePtr node = negated();
    while (take("and")) node = make(Kind::binary, "and", std::move(node), negated());
    return node;
  }
  NodePtr negated() {
    if (!take("not")) return compared();
    if (++depth_ > kMaxDepth) return fail();
    NodePtr node = make(Kind::unary, "not", negated());
    --depth_;
    return node;
  }
  NodePtr compared() {
    NodePtr node = sum();
    for (;;) {
      std::string op = at().text;
      const bool symbol = at().kind == Token::Kind::symbol;
      if (symbol && (op == "==" || op == "!=" || op == "<" || op == ">" || op == "<=" || op == ">=")) {
        ++next_;
      } else if (take("in")) {
        op = "in";
      } else if (sees("not") && tokens_[next_ + 1].text == "in") {
        next_ += 2;
        op = "not in";
      } else {
        return node;
      }
      node = make(Kind::binary, op, std::move(node), sum());
    }
  }
  NodePtr sum() {
    NodePtr node = product();
    for (std::string op = at().text; take("+") || take("-") || take("~"); op = at().text) {
      node = make(Kind::binary, op, std::move(node), product());
    }
    return node;
  }
  NodePtr product() {
    NodePtr node = signed_one();
    for (std::string op = at().text; take("*") || take("//") || take("%"); op = at().text) {
      node = make(Kind::binary, op, std::move(node), signed_one());
    }
    return node;
  }
  NodePtr signed_one() {
    if (take("-")) return make(Kind::unary, "-", filtered(postfix(primary())));
    return filtered(postfix(primary()));
  }

  NodePtr primary() {
    const Token token = at();
    if (token.kind == Token::Kind::end) return fail();
    if (token.kind != Token::Kind::symbol) ++next_;
    if (token.kind == Token::Kind::text) {
      std::string text = token.text;
      while (at().kind == Token::Kind::text) text += tokens_[next_++].text;  // side by side they are one
      return literal(std::move(text));
    }
    if (token.kind == Token::Kind::number) {
      if (token.text.size() > 9 || !std::ranges::all_of(token.text, [](char c) { return c >= '0' && c <= '9'; })) {
        return fail();
      }
      return literal(std::int64_t{std::stol(token.text)});
    }
    if (token.kind == Token::Kind::name) {
      if (token.text == "true" || token.text == "True") return literal(true);
      if (token.text == "false" || token.text == "False") return literal(false);
      if (token.text == "none" || token.text == "None") return literal(None{});
      return make(Kind::name, token.text);
    }
    if (take("(")) {
      NodePtr node = ternary();
      expect(")");
      return node;
    }
    if (!take("[")) return fail();
    NodePtr list = make(Kind::list, "");
    while (!run_.stopped() && !take("]")) {
      list->children.push_back(ternary());
      if (!sees("]")) expect(",");
    }
    return list;
  }

  NodePtr postfix(NodePtr node) {
    while (!run_.stopped()) {
      if (take(".")) {
        node = make(Kind::attribute, name(), std::move(node));
      } else if (take("[")) {
        node = subscript(std::move(node));
      } else if (take("(")) {
        node = make(Kind::call, "", std::move(node));
        arguments(*node);
      } else {
        break;
      }
    }
    return node;
  }
  NodePtr subscript(NodePtr node) {
    NodePtr first = sees(":") ? nullptr : ternary();
    if (take("]")) return make(Kind::index, "", std::move(node), std::move(first));
    expect(":");
    NodePtr last = sees("]") || sees(":") ? nullptr : ternary();
    const bool backwards = take(":");
    if (backwards && (first != nullptr || last != nullptr || !take("-") || !take("1"))) return fail();
    expect("]");
    return make(Kind::slice, backwards ? "backwards" : "", std::move(node), std::move(first), std::move(last));
  }
  void arguments(Node& node) {
    while (!run_.stopped() && !take(")")) {
      std::string key;
      if (at().kind == Token::Kind::name && tokens_[next_ + 1].text == "=") {
        key = at().text;
        next_ += 2;
      }
      node.keys.push_back(key);
      node.children.push_back(ternary());
      if (!sees(")")) expect(",");
    }
  }
  NodePtr filtered(NodePtr node) {
    while (!run_.stopped()) {
      if (take("|")) {
        node = make(Kind::filter, name(), std::move(node));
        if (take("(")) arguments(*node);
      } else if (take("is")) {
        const bool no = take("not");
        node = make(Kind::test, name(), std::move(node));
        if (no) node = make(Kind::unary, "not", std::move(node));
      } else {
        break;
      }
    }
    return node;
  }

  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  int depth_ = 0;
  Run& run_;
};

}  // namespace

NodePtr parse_expression(std::string_view text, Run& run) { return Parser(text, run).whole(); }

}  // namespace headwater::model::jinja
