#pragma once
// What a request says of the prefix cache, the same in every dialect:
// "cache": {"priority": 0 … 100, "ttl": "300s", "pin": true} and "session": "name".

#include "gateway/json_fields.h"
#include "headwater/request.h"

namespace headwater::gateway {

inline constexpr std::size_t kMaxSessionBytes = 256;
inline constexpr std::uint64_t kMaxTtlMs = 30ULL * 24 * 3600 * 1000;

/// `cache`. What the operator allows is checked by the runtime.
void read_cache_control(Fields& fields, CacheControl& control);

/// `session`.
void read_session(Fields& fields, std::string& session);

/// A time with its unit, from 1 ms to 30 days.
void read_ttl(Fields& fields, std::optional<std::uint64_t>& ttl_ms);

}  // namespace headwater::gateway
