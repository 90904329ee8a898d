#include "model/jinja/token_stream.h"

#include "model/utf8.h"

namespace headwater::model::jinja {
namespace {

/// Templates of models nest ten deep.
constexpr unsigned kDeepest = 150;

std::string described(const Token& token) {
  switch (token.kind) {
    case Token::Kind::end:
      return "the end of the template";
    case Token::Kind::data:
      return "text";
    case Token::Kind::string:
      return "the string \"" + printable(token.text, 40) + "\"";
    default:
      return "\"" + printable(token.text, 40) + "\"";
  }
}

}  // namespace

Token TokenStream::take() {
  Token token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::take_sign(std::string_view sign) {
  if (!is_sign(sign)) return false;
  ++at_;
  return true;
}

bool TokenStream::take_name(std::string_view name) {
  if (!is_name(name)) return false;
  ++at_;
  return true;
}

void TokenStream::expect_sign(std::string_view sign) {
  if (!take_sign(sign)) mistake("\"" + std::string(sign) + "\"");
}

void TokenStream::expect_name(std::string_view name) {
  if (!take_name(name)) mistake("\"" + std::string(name) + "\"");
}

void TokenStream::expect(Token::Kind kind, std::string_view wanted) {
  if (!is(kind)) mistake(wanted);
  take();
}

std::string TokenStream::take_any_name(std::string_view wanted) {
  if (!is(Token::Kind::name)) mistake(wanted);
  return take().text;
}

void TokenStream::mistake(std::string_view wanted) const {
  mistake_at(now().line, "expected " + std::string(wanted) + ", found " + described(now()));
}

void TokenStream::mistake_at(std::size_t line, std::string what) const {
  Failure failure(Failure::Kind::syntax, std::move(what));
  failure.line = line;
  throw failure;
}

TokenStream::Level::Level(TokenStream& stream) : stream_(stream) {
  if (stream.depth_ >= kDeepest) {
    stream.mistake_at(stream.now().line,
                      "what nests deeper than " + std::to_string(kDeepest) + " levels is not supported");
  }
  ++stream.depth_;
}

}  // namespace headwater::model::jinja
