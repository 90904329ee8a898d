#pragma once
// Requests whose answers get about as long: those of about one max_tokens get about one share of it.

#include <algorithm>
#include <bit>
#include <cstddef>

#include "headwater/request.h"

namespace headwater::schedule {

/// The last kind is of those that name no max_tokens.
inline constexpr std::size_t kAnswerKinds = 33;

inline std::size_t answer_kind(const Request& request) {
  const auto& most = request.params.max_tokens;
  return most ? static_cast<std::size_t>(std::bit_width(*most >> 1U)) : kAnswerKinds - 1;
}

/// What the length of an answer of its kind is counted in, in tokens.
inline double answer_unit(const Request& request) { return std::max(request.params.max_tokens.value_or(1), 1U); }

}  // namespace headwater::schedule
