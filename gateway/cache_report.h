#pragma once
// What clients are told of the prefix cache, in every dialect.

#include <span>

#include "gateway/json_text.h"
#include "headwater/request.h"

namespace headwater::gateway {

/// Of one call: {"matched_tokens", "copied_tokens", "source", "miss": {"reason", "tokens"} | null}. Of several prompts:
/// sums, and source and reason of the one that has most of the tokens concerned.
Json cache_json(std::span<const Usage> prompts);

}  // namespace headwater::gateway
