#pragma once
// Documents of chosen tokens.

#include <utility>
#include <vector>

#include "tools/eval/document.h"

namespace headwater::eval {

inline Document text(std::vector<TokenId> tokens, TokenId bos = -1) {
  Document document;
  document.place = "f.txt";
  document.tokens = std::move(tokens);
  document.bos = bos;
  return document;
}

}  // namespace headwater::eval
