#pragma once
// Tokens as text: a token's bytes are not always whole characters.

#include <cstddef>
#include <string>
#include <string_view>

#include "headwater/request.h"

namespace headwater::gateway {

bool is_utf8(std::string_view bytes);

/// Characters (code points) that begin in `bytes`.
std::size_t count_characters(std::string_view bytes);

/// A token's text, or "bytes:\xe4\xb8" for one that is only a part of a character; so different tokens
/// have different names. With `by_id`: "token_id:N".
std::string token_name(const TokenLogprob& token, bool by_id);

/// A log-probability that JSON can hold: an impossible token has -9999.
double finite_logprob(float logprob);

}  // namespace headwater::gateway
