#pragma once
// A request whose answer is known but for the model: the likeliest tokens, so many of them.

#include <utility>

#include "headwater/request.h"

namespace headwater::test {

/// Asks for `n` tokens after `prompt`, whatever they are.
inline Request greedy_request(decltype(Request::prompt) prompt, std::uint32_t n) {
  Request request;
  request.prompt = std::move(prompt);
  request.params.temperature = 0;
  request.params.max_tokens = n;
  request.params.ignore_eos = true;
  return request;
}

}  // namespace headwater::test
