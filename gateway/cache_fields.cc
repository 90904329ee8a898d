#include "gateway/cache_fields.h"

#include "headwater/duration.h"

namespace headwater::gateway {

void read_ttl(Fields& fields, std::optional<std::uint64_t>& ttl_ms) {
  const Json* ttl = fields.value("ttl");
  if (ttl == nullptr) return;
  if (!ttl->is_string()) return fields.fail_type("ttl", "a time with its unit such as \"300s\"", *ttl);
  const auto ms = parse_duration_ms(ttl->get_ref<const std::string&>());
  if (!ms || *ms < 1 || *ms > static_cast<double>(kMaxTtlMs)) {
    return fields.fail("ttl", in_quotes(fields.path("ttl")) +
                                  " must be a time with its unit (ms, s, m or h) such as \"300s\", from 1ms to 720h");
  }
  ttl_ms = static_cast<std::uint64_t>(*ms);
}

void read_cache_control(Fields& fields, CacheControl& control) {
  const Json* cache = fields.value("cache");
  if (cache == nullptr) return;
  if (!cache->is_object()) return fields.fail_type("cache", "an object", *cache);
  Fields inner(*cache, "cache.");
  std::uint32_t priority = control.priority;
  inner.read("priority", priority, 0, kHighestPriority);
  control.priority = static_cast<std::uint8_t>(priority);
  read_ttl(inner, control.ttl_ms);
  inner.read("pin", control.pin);
  if (const auto read = inner.finish(); !read) fields.fail(read.error());
}

void read_session(Fields& fields, std::string& session) {
  if (fields.value("session") == nullptr) return;
  fields.read("session", session);
  if (fields.failed() || (!session.empty() && session.size() <= kMaxSessionBytes)) return;
  fields.fail("session", "\"session\" must have 1 to " + std::to_string(kMaxSessionBytes) + " bytes, and has " +
                             std::to_string(session.size()));
}

}  // namespace headwater::gateway
