#include "model/jinja/statement_parser.h"

#include <algorithm>
#include <initializer_list>

#include "model/jinja/expression_parser.h"
#include "model/utf8.h"

namespace headwater::model::jinja {
namespace {

using Kind = Token::Kind;
using Words = std::initializer_list<std::string_view>;

bool has(const std::vector<Token>& tokens, std::string_view name) {
  return std::ranges::any_of(tokens, [&](const Token& t) { return t.kind == Kind::name && t.text == name; });
}

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : varargs_(has(tokens, "varargs")),
        kwargs_(has(tokens, "kwargs")),
        tokens_(std::move(tokens)),
        expressions_(tokens_) {}

  Body whole() {
    Body all = body({});
    if (!tokens_.is(Kind::end)) tokens_.mistake("a statement");
    return all;
  }

 private:
  /// Up to a block that begins with one of `ends`, whose "{%" is taken; or to the end of the template.
  Body body(Words ends) {
    const TokenStream::Level level(tokens_);
    Body statements;
    while (true) {
      const std::size_t line = tokens_.now().line;
      if (tokens_.is(Kind::data)) {
        statements.push_back(std::make_unique<WriteData>(tokens_.take().text));
      } else if (tokens_.is(Kind::output_begin)) {
        statements.push_back(output());
      } else if (tokens_.is(Kind::block_begin)) {
        tokens_.take();
        const bool ended = std::ranges::any_of(ends, [&](std::string_view end) { return tokens_.is_name(end); });
        if (ended) return statements;
        if (auto made = statement(line)) statements.push_back(std::move(made));
      } else if (ends.size() == 0) {
        return statements;
      } else {
        tokens_.mistake(wanted(ends));
      }
      if (!statements.empty()) statements.back()->line = line;
    }
  }

  static std::string wanted(Words ends) {
    std::string text;
    for (const std::string_view end : ends) {
      text += text.empty() ? "{% " : " or {% ";
      text += end;
      text += " %}";
    }
    return text;
  }

  void end_block() { tokens_.expect(Kind::block_end, "\"%}\""); }
  /// REQUIRES: body() has met one of its ends.
  void end_body(std::string_view word) {
    tokens_.expect_name(word);
    end_block();
  }

  std::unique_ptr<Statement> output() {
    auto node = std::make_unique<Write>();
    tokens_.take();
    if (tokens_.is(Kind::output_end)) tokens_.mistake("an expression");
    node->value = expressions_.tuple(true);
    tokens_.expect(Kind::output_end, "\"}}\"");
    return node;
  }

  std::unique_ptr<Statement> statement(std::size_t line) {
    const Token word = tokens_.now();
    if (word.kind != Kind::name) tokens_.mistake("a statement");
    tokens_.take();
    if (word.text == "if") return if_statement();
    if (word.text == "for") return for_statement();
    if (word.text == "set") return set_statement();
    if (word.text == "macro") return macro();
    if (word.text == "call") return call_block();
    if (word.text == "filter") return filter_block();
    if (word.text == "with") return with();
    if (word.text == "generation") return generation();
    if (word.text == "break" || word.text == "continue") {
      if (loops_ == 0) tokens_.mistake_at(line, "\"" + word.text + "\" stands in no loop");
      end_block();
      return std::make_unique<Jump>(word.text == "break" ? Flow::leave : Flow::again);
    }
    tokens_.mistake_at(word.line,
                       "the statement \"" + printable(word.text, 40) + "\" is not known or not expected here");
  }

  std::unique_ptr<Statement> if_statement() {
    auto node = std::make_unique<If>();
    ExpressionPtr condition = expressions_.tuple(false);
    while (true) {
      end_block();
      Body part = body({"elif", "else", "endif"});
      node->branches.push_back({std::move(condition), std::move(part)});
      if (!tokens_.take_name("elif")) break;
      condition = expressions_.tuple(false);
    }
    if (tokens_.take_name("else")) {
      end_block();
      node->branches.push_back({nullptr, body({"endif"})});
    }
    end_body("endif");
    return node;
  }

  /// A name, or several.
  Target target(bool attributes) {
    Target first = one_target(attributes);
    if (!tokens_.is_sign(",")) return first;
    Target all;
    all.parts.push_back(std::move(first));
    while (tokens_.take_sign(",") && (tokens_.is(Kind::name) || tokens_.is_sign("("))) {
      all.parts.push_back(one_target(attributes));
    }
    return all;
  }

  Target one_target(bool attributes) {
    const TokenStream::Level level(tokens_);
    if (tokens_.take_sign("(")) {
      Target inner = target(attributes);
      tokens_.expect_sign(")");
      return inner;
    }
    Target one;
    one.name = tokens_.take_any_name("a name");
    if (attributes && tokens_.take_sign(".")) one.attribute = tokens_.take_any_name("a name");
    return one;
  }

  std::unique_ptr<Statement> for_statement() {
    auto node = std::make_unique<For>();
    node->target = target(false);
    tokens_.expect_name("in");
    node->items = expressions_.tuple(false);
    if (tokens_.take_name("if")) node->condition = expressions_.whole();
    if (tokens_.is_name("recursive")) tokens_.mistake_at(tokens_.now().line, "recursive loops are not supported");
    end_block();
    ++loops_;
    node->body = body({"endfor", "else"});
    --loops_;
    if (tokens_.take_name("else")) {
      end_block();
      node->otherwise = body({"endfor"});
    }
    end_body("endfor");
    return node;
  }

  std::unique_ptr<Statement> set_statement() {
    Target to = target(true);
    if (tokens_.take_sign("=")) {
      auto node = std::make_unique<Set>();
      node->target = std::move(to);
      node->value = expressions_.tuple(true);
      end_block();
      return node;
    }
    auto node = std::make_unique<SetBlock>();
    node->target = std::move(to);
    if (tokens_.take_sign("|")) node->filters = expressions_.filters();
    if (!tokens_.is(Kind::block_end)) tokens_.mistake("\"=\" or \"%}\"");
    end_block();
    node->body = outside_loops({"endset"});
    end_body("endset");
    return node;
  }

  /// Jumps do not leave such a body.
  Body outside_loops(Words ends) {
    const unsigned loops = std::exchange(loops_, 0U);
    Body inner = body(ends);
    loops_ = loops;
    return inner;
  }

  void parameters(Macro& macro) {
    tokens_.expect_sign("(");
    for (bool first = true; !tokens_.take_sign(")"); first = false) {
      if (!first) tokens_.expect_sign(",");
      std::string name = tokens_.take_any_name("the name of a parameter");
      ExpressionPtr otherwise = tokens_.take_sign("=") ? expressions_.whole() : nullptr;
      if (otherwise == nullptr && !macro.parameters.empty() && macro.parameters.back().second != nullptr) {
        tokens_.mistake("a default for \"" + printable(name, 40) + "\", as those before it have one");
      }
      macro.parameters.emplace_back(std::move(name), std::move(otherwise));
    }
  }

  void macro_body(Macro& macro, std::string_view end) {
    end_block();
    macro.takes_more_positional = varargs_;
    macro.takes_more_named = kwargs_;
    macro.body = outside_loops({end});
    end_body(end);
  }

  std::unique_ptr<Statement> macro() {
    auto node = std::make_unique<Macro>();
    node->name = tokens_.take_any_name("the name of the macro");
    parameters(*node);
    macro_body(*node, "endmacro");
    return node;
  }

  std::unique_ptr<Statement> call_block() {
    auto node = std::make_unique<CallBlock>();
    node->caller.name = "caller";
    if (tokens_.is_sign("(")) parameters(node->caller);
    const std::size_t line = tokens_.now().line;
    ExpressionPtr call = expressions_.whole();
    if (dynamic_cast<Call*>(call.get()) == nullptr) tokens_.mistake_at(line, "expected a call in {% call %}");
    node->call.reset(static_cast<Call*>(call.release()));
    macro_body(node->caller, "endcall");
    return node;
  }

  std::unique_ptr<Statement> filter_block() {
    auto node = std::make_unique<FilterBlock>();
    node->filters = expressions_.filters();
    end_block();
    node->body = outside_loops({"endfilter"});
    end_body("endfilter");
    return node;
  }

  std::unique_ptr<Statement> with() {
    auto node = std::make_unique<With>();
    while (!tokens_.is(Kind::block_end)) {
      if (!node->names.empty()) tokens_.expect_sign(",");
      Target name = one_target(false);
      tokens_.expect_sign("=");
      node->names.emplace_back(std::move(name), expressions_.whole());
    }
    end_block();
    node->body = body({"endwith"});
    end_body("endwith");
    return node;
  }

  std::unique_ptr<Statement> generation() {
    auto node = std::make_unique<Generation>();
    end_block();
    node->body = outside_loops({"endgeneration"});
    end_body("endgeneration");
    return node;
  }

  const bool varargs_, kwargs_;  ///< whether a macro may ask for what it has no parameter for
  TokenStream tokens_;
  ExpressionParser expressions_;
  unsigned loops_ = 0;  ///< around
};

}  // namespace

Body read_statements(std::vector<Token> tokens) { return StatementParser(std::move(tokens)).whole(); }

}  // namespace headwater::model::jinja
