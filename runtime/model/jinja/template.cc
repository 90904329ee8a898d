#include "model/jinja/template.h"

#include <algorithm>
#include <set>

#include "model/jinja/functions.h"
#include "model/jinja/lexer.h"
#include "model/jinja/statement_parser.h"
#include "model/jinja/syntax.h"
#include "model/utf8.h"

namespace headwater::model::jinja {
namespace {

/// The largest of models have 40 KiB.
constexpr std::size_t kMostTemplate = 1 << 20;
constexpr std::size_t kMostWords = 1000;

Error rejected(const std::string& what) { return {ErrorCode::invalid_model, what, ""}; }

std::string described(const Failure& failure) {
  std::string what = printable(failure.message, kMostWords);
  if (failure.kind == Failure::Kind::raised) return what;
  return "line " + std::to_string(failure.line) + " of the chat template: " + what;
}

}  // namespace

struct Template::Parts {
  Body body;
  std::set<std::string, std::less<>> words;
};

Template::Template(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Template::~Template() = default;

Result<std::shared_ptr<const Template>> Template::parse(std::string_view source) {
  if (source.size() > kMostTemplate) {
    return rejected("it has " + std::to_string(source.size()) + " bytes; the most are " +
                    std::to_string(kMostTemplate));
  }
  try {
    auto parts = std::make_unique<Parts>();
    std::vector<Token> tokens = read_tokens(source);
    for (const Token& token : tokens) {
      if (token.kind == Token::Kind::name || token.kind == Token::Kind::string) parts->words.insert(token.text);
    }
    parts->body = read_statements(std::move(tokens));
    return std::shared_ptr<const Template>(new Template(std::move(parts)));
  } catch (const Failure& failure) {
    return rejected("line " + std::to_string(failure.line) + ": " + failure.message);
  }
}

Result<Text> Template::render(const Variables& variables, std::time_t now, const Limits& limits) const {
  Run run(limits, now);
  try {
    set_globals(*run.scope);
    for (const auto& [name, value] : variables) run.scope->set(name, value);
    const InnerScope own(run);
    execute(parts_->body, run);
    return std::move(run.out);
  } catch (const Failure& failure) {
    return Error{ErrorCode::invalid_request, described(failure), ""};
  }
}

bool Template::mentions(std::string_view word) const { return parts_->words.contains(word); }

}  // namespace headwater::model::jinja
