#pragma once
// A template's tokens, one after the other, and what reading them may take.
//
// Threading: one caller at a time.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja/lexer.h"

namespace headwater::model::jinja {

class TokenStream {
 public:
  /// REQUIRES: the last is of kind `end`.
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is(Token::Kind kind) const { return now().kind == kind; }
  bool is_sign(std::string_view sign) const { return is(Token::Kind::sign) && now().text == sign; }
  bool is_name(std::string_view name) const { return is(Token::Kind::name) && now().text == name; }

  Token take();
  bool take_sign(std::string_view sign);
  bool take_name(std::string_view name);
  // Throw where something else stands there.
  void expect_sign(std::string_view sign);
  void expect_name(std::string_view name);
  void expect(Token::Kind kind, std::string_view wanted);
  std::string take_any_name(std::string_view wanted);

  /// Throws, with the line: "expected WANTED, found …".
  [[noreturn]] void mistake(std::string_view wanted) const;
  [[noreturn]] void mistake_at(std::size_t line, std::string what) const;

  /// What is read within each other.
  class Level {
   public:
    explicit Level(TokenStream& stream);
    ~Level() { --stream_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenStream& stream_;
  };

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
};

}  // namespace headwater::model::jinja
