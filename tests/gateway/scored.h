#pragma once
// Log-probabilities for tests, made step by step: GCC 12 warns of nested braces that own strings.

#include "headwater/request.h"

namespace headwater::test {

inline TokenLogprob token(TokenId id, float logprob, const char* bytes) {
  TokenLogprob token;
  token.token = id;
  token.logprob = logprob;
  token.bytes = bytes;
  return token;
}

template <class... Top>
PositionLogprobs scored(const TokenLogprob& chosen, const Top&... top) {
  PositionLogprobs position;
  position.chosen = chosen;
  (position.top.push_back(top), ...);
  return position;
}

}  // namespace headwater::test
