#pragma once
// What clients and operators are told of the prefix cache.

#include <span>

#include "gateway/json_text.h"
#include "headwater/request.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

/// Of one call: {"matched_tokens", "copied_tokens", "source", "miss": {"reason", "tokens"} | null}. Of several prompts:
/// sums, and source and reason of the one that has most of the tokens concerned.
Json cache_json(std::span<const Usage> prompts);

/// {"demand", "expired", "flush", "quota"}: blocks given up.
Json evictions_json(const Stats& stats);

/// {"looked_up_blocks", "measured_hit_rate", "sizes": [{"factor", "capacity_blocks", "bytes", "hit_rate"}], "advice"}.
/// The measured rate is that of all prompts since the start; null before the first.
Json advice_json(const CacheAdvice& advice, const Stats& stats);

}  // namespace headwater::gateway
