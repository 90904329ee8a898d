#include "actors/cache_controls.h"

#include <algorithm>

namespace headwater::actors {
namespace {

constexpr std::size_t kMostSessionBytes = 256;

TimeNs nanoseconds(std::uint64_t ms) { return static_cast<TimeNs>(ms * 1'000'000); }

Error not_allowed(const char* field, std::string_view message) {
  std::string text = "\"";
  text.append(field).append("\" ").append(message);
  return {ErrorCode::invalid_request, text, field};
}

}  // namespace

std::uint32_t blocks_of(double share, std::uint32_t total) {
  return std::min(static_cast<std::uint32_t>(share * total), total);
}

cache::RetentionOptions retention_options(const topology::CacheSpec& spec, std::uint32_t total_blocks) {
  return {.ttl = spec.cache_ttl_ms > 0 ? nanoseconds(spec.cache_ttl_ms) : cache::kNever,
          .max_pinned = blocks_of(spec.max_pinned, total_blocks),
          .tenant_quota = std::max(1U, blocks_of(spec.tenant_quota, total_blocks))};
}

Result<void> check_cache_control(const Request& request, const topology::CacheSpec& spec) {
  const CacheControl& wanted = request.cache;
  if (wanted.priority > spec.max_priority) {
    return not_allowed("cache.priority", "is " + std::to_string(wanted.priority) + "; this server allows at most " +
                                             std::to_string(spec.max_priority) + " (max_priority)");
  }
  if (wanted.ttl_ms && *wanted.ttl_ms > spec.max_ttl_ms) {
    return not_allowed("cache.ttl", "is " + std::to_string(*wanted.ttl_ms) + " ms; this server allows at most " +
                                        std::to_string(spec.max_ttl_ms) + " ms (max_ttl)");
  }
  if (wanted.pin && spec.max_pinned <= 0) {
    return not_allowed("cache.pin", "is not allowed by this server; leave it out (max_pinned is 0)");
  }
  if (request.session.size() > kMostSessionBytes) {
    return not_allowed("session", "has more than " + std::to_string(kMostSessionBytes) + " bytes");
  }
  return {};
}

cache::Keep keep_for(const Request& request, const topology::CacheSpec& spec) {
  const CacheControl& wanted = request.cache;
  cache::Keep keep;
  keep.tenant = request.tenant;
  keep.priority = wanted.priority;
  if (wanted.ttl_ms) keep.ttl = nanoseconds(*wanted.ttl_ms);
  if (wanted.pin || !request.session.empty()) keep.pin = nanoseconds(wanted.ttl_ms.value_or(spec.max_ttl_ms));
  keep.session = request.session;
  return keep;
}

}  // namespace headwater::actors
