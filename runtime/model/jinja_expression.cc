// Expressions of Jinja, from a tree to a value.

#include "model/jinja_expression.h"

#include <algorithm>
#include <optional>

namespace headwater::model::jinja {
namespace {

constexpr std::size_t kMostText = 1 << 20;

std::string strip(const std::string& text, const std::string& characters, bool left, bool right) {
  const std::size_t begin = left ? text.find_first_not_of(characters) : 0;
  if (begin == std::string::npos) return "";
  const std::size_t end = right ? text.find_last_not_of(characters) : text.size() - 1;
  return end == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

Value at_place(const Value& object, std::int64_t place) {
  if (List* list = object.list(); list != nullptr) {
    const auto size = static_cast<std::int64_t>(list->size());
    if (place < 0) place += size;
    return place < 0 || place >= size ? Value() : (*list)[static_cast<std::size_t>(place)];
  }
  return {};
}

Value member(const Value& object, const std::string& name) {
  Dict* dict = object.dict();
  if (dict == nullptr) return {};
  const auto found = dict->find(name);
  return found == dict->end() ? Value() : found->second;
}

std::optional<std::int64_t> size_of(const Value& value) {
  if (value.text() != nullptr) {
    return std::ranges::count_if(*value.text(),
                                 [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
  }
  if (value.list() != nullptr) return static_cast<std::int64_t>(value.list()->size());
  if (value.dict() != nullptr) return static_cast<std::int64_t>(value.dict()->size());
  return std::nullopt;
}

bool equal(const Value& a, const Value& b) {
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() == *b.text();
  if (a.list() != nullptr && b.list() != nullptr) return std::ranges::equal(*a.list(), *b.list(), equal);
  const auto number = [](const Value& value) -> std::optional<std::int64_t> {
    if (const auto* truth = value.get<bool>()) return *truth ? 1 : 0;
    const auto* number = value.get<std::int64_t>();
    return number == nullptr ? std::nullopt : std::optional(*number);
  };
  if (number(a) && number(b)) return *number(a) == *number(b);
  return (a.get<None>() != nullptr && b.get<None>() != nullptr) || (a.undefined() && b.undefined());
}

bool contains(const Value& whole, const Value& part) {
  if (whole.text() != nullptr && part.text() != nullptr) return whole.text()->find(*part.text()) != std::string::npos;
  if (whole.list() != nullptr) {
    return std::ranges::any_of(*whole.list(), [&](const Value& one) { return equal(one, part); });
  }
  return whole.dict() != nullptr && part.text() != nullptr && whole.dict()->contains(*part.text());
}

class Evaluation {
 public:
  explicit Evaluation(Run& run) : run_(run) {}

  Value of(const Node& node) {
    if (run_.stopped()) return {};
    if (--run_.steps_left < 0) return run_.stop("a template without an end");
    switch (node.kind) {
      case Node::Kind::literal:
        return node.value;
      case Node::Kind::name: {
        const auto found = run_.names.find(node.text);
        return found == run_.names.end() ? Value() : found->second;
      }
      case Node::Kind::list: {
        List list;
        for (const NodePtr& child : node.children) list.push_back(of(*child));
        return list;
      }
      case Node::Kind::attribute:
        return member(of(*node.children[0]), node.text);
      case Node::Kind::index:
        return index(of(*node.children[0]), of(*node.children[1]));
      case Node::Kind::slice:
        return slice(node);
      case Node::Kind::call:
        return call(node);
      case Node::Kind::filter:
        return filter(node);
      case Node::Kind::test:
        return test(node.text, of(*node.children[0]));
      case Node::Kind::unary:
        return unary(node);
      case Node::Kind::binary:
        return binary(node);
      case Node::Kind::ternary:
        return of(*node.children[of(*node.children[0]).truthy() ? 1 : 2]);
    }
    return {};
  }

 private:
  static Value index(const Value& object, const Value& key) {
    if (key.text() != nullptr) return member(object, *key.text());
    const auto* place = key.get<std::int64_t>();
    return place == nullptr ? Value() : at_place(object, *place);
  }

  Value slice(const Node& node) {
    const Value object = of(*node.children[0]);
    List* list = object.list();
    if (list == nullptr) return run_.stop("a part of what is no list");
    if (node.text == "backwards") return List(list->rbegin(), list->rend());
    const auto size = static_cast<std::int64_t>(list->size());
    const auto bound = [&](const NodePtr& child, std::int64_t otherwise) {
      if (child == nullptr) return otherwise;
      const Value value = of(*child);
      const auto* place = value.get<std::int64_t>();
      if (place == nullptr) {
        run_.stop("a part of a list that begins at no number");
        return otherwise;
      }
      return std::clamp<std::int64_t>(*place < 0 ? *place + size : *place, 0, size);
    };
    const std::int64_t first = bound(node.children[1], 0), last = bound(node.children[2], size);
    return first >= last ? Value(List{}) : Value(List(list->begin() + first, list->begin() + last));
  }

  Value call(const Node& node) {
    const Node& callee = *node.children[0];
    if (callee.kind == Node::Kind::name && callee.text == "raise_exception") {
      run_.raised = true;
      return {};
    }
    if (callee.kind == Node::Kind::name && callee.text == "namespace") {
      Dict dict;
      for (std::size_t i = 0; i < node.keys.size(); ++i) dict[node.keys[i]] = of(*node.children[i + 1]);
      return dict;
    }
    // Any date will do: no form writes one.
    if (callee.kind == Node::Kind::name && callee.text == "strftime_now") return "the date";
    if (callee.kind != Node::Kind::attribute) return run_.stop("a call of \"" + callee.text + "\"");
    return method(of(*callee.children[0]), callee.text, node);
  }

  Value method(const Value& object, const std::string& name, const Node& node) {
    std::vector<std::string> texts;
    for (std::size_t i = 1; i < node.children.size(); ++i) {
      const Value argument = of(*node.children[i]);
      if (argument.text() == nullptr) return run_.stop("an argument of \"" + name + "\"");
      texts.push_back(*argument.text());
    }
    if (object.dict() != nullptr && name == "get" && !texts.empty()) return member(object, texts[0]);
    if (object.text() == nullptr) return run_.stop("a call of \"" + name + "\"");
    const std::string& text = *object.text();
    const std::string characters = texts.empty() ? " \t\r\n\v\f" : texts[0];
    if (name == "strip") return strip(text, characters, true, true);
    if (name == "lstrip") return strip(text, characters, true, false);
    if (name == "rstrip") return strip(text, characters, false, true);
    if (name == "startswith" && !texts.empty()) return text.starts_with(texts[0]);
    if (name == "endswith" && !texts.empty()) return text.ends_with(texts[0]);
    if (name == "split" && texts.size() == 1 && !texts[0].empty()) return split(text, texts[0]);
    return run_.stop("a call of \"" + name + "\"");
  }

  static Value split(std::string_view text, const std::string& at) {
    List parts;
    for (std::size_t end = text.find(at); end != std::string_view::npos; end = text.find(at)) {
      parts.emplace_back(std::string(text.substr(0, end)));
      text.remove_prefix(end + at.size());
    }
    parts.emplace_back(std::string(text));
    return parts;
  }

  Value filter(const Node& node) {
    const Value value = of(*node.children[0]);
    const std::string& name = node.text;
    if (name == "trim" && value.text() != nullptr && node.children.size() == 1) {
      return strip(*value.text(), " \t\r\n\v\f", true, true);
    }
    if (name == "length" || name == "count") {
      const auto size = size_of(value);
      return size ? Value(*size) : run_.stop("the length of what has none");
    }
    if (name == "default" && node.children.size() >= 2) return value.undefined() ? of(*node.children[1]) : value;
    if (name == "first") return at_place(value, 0);
    if (name == "last") return at_place(value, -1);
    if (name == "string") return printed(value, run_);
    return run_.stop("the filter \"" + name + "\"");
  }

  Value test(const std::string& name, const Value& value) {
    if (name == "defined") return !value.undefined();
    if (name == "undefined") return value.undefined();
    if (name == "none") return value.get<None>() != nullptr;
    if (name == "string") return value.text() != nullptr;
    if (name == "mapping") return value.dict() != nullptr;
    if (name == "sequence" || name == "iterable") return size_of(value).has_value();
    if (name == "true" || name == "false") {
      const auto* truth = value.get<bool>();
      return truth != nullptr && *truth == (name == "true");
    }
    return run_.stop("the test \"" + name + "\"");
  }

  Value unary(const Node& node) {
    const Value value = of(*node.children[0]);
    if (node.text == "not") return !value.truthy();
    const auto* number = value.get<std::int64_t>();
    return number == nullptr ? run_.stop("the negative of what is no number") : Value(-*number);
  }

  Value binary(const Node& node) {
    const std::string& op = node.text;
    Value left = of(*node.children[0]);
    if (op == "and") return left.truthy() ? of(*node.children[1]) : left;
    if (op == "or") return left.truthy() ? left : of(*node.children[1]);
    Value right = of(*node.children[1]);
    if (op == "==") return equal(left, right);
    if (op == "!=") return !equal(left, right);
    if (op == "in") return contains(right, left);
    if (op == "not in") return !contains(right, left);
    if (op == "~" || (op == "+" && left.text() != nullptr && right.text() != nullptr)) {
      std::string joined = printed(left, run_) + printed(right, run_);
      return joined.size() > kMostText ? run_.stop("a text of a million bytes") : Value(std::move(joined));
    }
    return calculate(op, left, right);
  }

  Value calculate(const std::string& op, const Value& left, const Value& right) {
    const auto* a = left.get<std::int64_t>();
    const auto* b = right.get<std::int64_t>();
    if (a == nullptr || b == nullptr) return run_.stop("\"" + op + "\" of what are no numbers");
    if (op == "<") return *a < *b;
    if (op == ">") return *a > *b;
    if (op == "<=") return *a <= *b;
    if (op == ">=") return *a >= *b;
    constexpr std::int64_t kMost = 1'000'000'000;  // no template counts so far
    if (std::abs(*a) > kMost || std::abs(*b) > kMost) return run_.stop("a large number");
    if (op == "+") return *a + *b;
    if (op == "-") return *a - *b;
    if (op == "*") return *a * *b;
    if (*b <= 0 || *a < 0) return run_.stop("\"" + op + "\" of such numbers");
    return op == "%" ? *a % *b : *a / *b;
  }

  Run& run_;
};

}  // namespace

Value evaluate(const Node& node, Run& run) { return Evaluation(run).of(node); }

Value evaluate(std::string_view text, Run& run) {
  const NodePtr node = parse_expression(text, run);
  return node == nullptr ? Value() : evaluate(*node, run);
}

std::string printed(const Value& value, Run& run) {
  if (value.text() != nullptr) return *value.text();
  if (value.undefined()) return "";
  if (value.get<None>() != nullptr) return "None";
  if (const auto* number = value.get<std::int64_t>()) return std::to_string(*number);
  if (const auto* truth = value.get<bool>()) return *truth ? "True" : "False";
  run.stop("a list or map that is printed");
  return "";
}

}  // namespace headwater::model::jinja
