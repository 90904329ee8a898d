#include "gateway/http_admin.h"

#include "gateway/cache_fields.h"
#include "gateway/cache_report.h"
#include "gateway/shared_fields.h"

namespace headwater::gateway {
namespace {

HttpResponse reply_to(Result<Json> answer) {
  return answer ? json_reply(std::move(*answer)) : error_reply(answer.error());
}

Json tenant_json(const CacheStatus::Tenant& tenant, std::uint64_t block_bytes) {
  return {{"tenant", tenant.tenant},
          {"blocks", tenant.blocks},
          {"bytes", tenant.blocks * block_bytes},
          {"cached", tenant.cached},
          {"pinned", tenant.pinned},
          {"tokens", tenant.tokens},
          {"query_tokens", tenant.query_tokens},
          {"hit_tokens", tenant.hit_tokens}};
}

Json tier_json(const TierHoldings& tier) {
  Json tenants = Json::array();
  for (const auto& one : tier.tenants) tenants.push_back({{"tenant", one.tenant}, {"blocks", one.blocks}});
  return {{"blocks", tier.blocks},
          {"bytes", tier.bytes},
          {"tenants", std::move(tenants)},
          {"tenants_total", tier.tenants_total}};
}

/// GET /admin/cache: what the prefix cache holds.
Result<Json> status(const Hub& hub) {
  const auto cache = hub.runtime.cache_status();
  if (!cache) return cache.error();
  const std::uint64_t block_bytes = hub.model.kv_bytes_per_token * cache->block_tokens;
  Json tenants = Json::array(), ages = Json::array(), priorities = Json::array();
  for (const auto& tenant : cache->tenants) tenants.push_back(tenant_json(tenant, block_bytes));
  for (const auto& age : cache->ages) {
    ages.push_back({{"up_to_s", age.up_to_ms > 0 ? Json(age.up_to_ms / 1000) : Json()}, {"cached", age.blocks}});
  }
  for (const auto& one : cache->priorities) priorities.push_back({{"priority", one.priority}, {"blocks", one.blocks}});
  const Stats stats = hub.runtime.stats();
  Json answer{{"blocks",
               {{"total", cache->total},
                {"free", cache->free},
                {"active", cache->active},
                {"cached", cache->cached},
                {"pinned", cache->pinned}}},
              {"limits", {{"pinned", cache->max_pinned}, {"tenant_quota", cache->tenant_quota}}},
              {"block_tokens", cache->block_tokens},
              {"block_bytes", block_bytes},
              {"bytes", stats.kv_full_bytes + stats.kv_window_bytes},
              {"tokens", cache->tokens},
              {"hits", {{"query_tokens", stats.prefix_query_tokens}, {"hit_tokens", stats.prefix_hit_tokens}}},
              {"evictions", evictions_json(stats)},
              {"tenants", std::move(tenants)},
              {"tenants_total", cache->tenants_total},
              {"ages", std::move(ages)},
              {"priorities", std::move(priorities)}};
  if (cache->tier) answer["tier"] = tier_json(*cache->tier);
  return answer;
}

/// GET /admin/cache/advice: what more or less memory would bring.
Result<Json> advice(const Hub& hub) {
  const auto advice = hub.runtime.cache_advice();
  if (!advice) return advice.error();
  return advice_json(*advice, hub.runtime.stats());
}

Result<Json> flush(Hub& hub, const Json& body) {
  Fields fields(body);
  std::string tenant;
  const bool one = fields.value("tenant") != nullptr;
  fields.read("tenant", tenant);
  if (const auto read = fields.finish(); !read) return read.error();
  const auto flushed = hub.runtime.flush_cache(one ? std::optional(tenant) : std::nullopt);
  if (!flushed) return flushed.error();
  Json answer{{"flushed_blocks", flushed->blocks}};
  if (flushed->tier_blocks) {
    answer["flushed_tier_blocks"] = *flushed->tier_blocks;
    answer["tier_pending"] = flushed->tier_pending;
  }
  return answer;
}

Result<std::vector<TokenId>> tokens_of(const Runtime& runtime, const Request& request) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt)) return *ids;
  if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&request.prompt)) {
    return runtime.tokenize(*messages, request.chat);
  }
  return runtime.tokenize(std::get<std::string>(request.prompt), request.add_special_tokens, true);
}

Result<Json> pin(Hub& hub, const Json& body, std::string_view text, bool pin) {
  Fields fields(body);
  fields.read_from(text);
  Request request;
  CacheOwner owner;
  std::optional<std::uint64_t> ttl_ms;
  read_model(fields, hub.model);
  read_prompt(fields, hub.model, request);
  fields.read("add_special_tokens", request.add_special_tokens);
  fields.read("tenant", owner.tenant);
  fields.read("cache_salt", owner.salt);
  if (pin) read_ttl(fields, ttl_ms);
  if (const auto read = fields.finish(); !read) return read.error();
  auto tokens = tokens_of(hub.runtime, request);
  if (!tokens) return tokens.error();
  const auto ttl = ttl_ms ? std::optional(std::chrono::milliseconds(*ttl_ms)) : std::nullopt;
  const auto pins = pin ? hub.runtime.pin_prompt(std::move(*tokens), owner, ttl)
                        : hub.runtime.unpin_prompt(std::move(*tokens), owner);
  if (!pins) return pins.error();
  return Json{{"cached_blocks", pins->blocks},
              {"cached_tokens", pins->tokens},
              {"pinned_blocks", pins->pinned},
              {"changed_blocks", pins->changed}};
}

Result<Json> change(Hub& hub, Endpoint endpoint, std::string_view text) {
  const auto body = parse_request(text.empty() ? "{}" : text, hub.model);
  if (!body) return body.error();
  if (!body->is_object()) return Error{ErrorCode::invalid_request, "the body must be a JSON object", ""};
  return endpoint == Endpoint::admin_flush ? flush(hub, *body) : pin(hub, *body, text, endpoint == Endpoint::admin_pin);
}

}  // namespace

HttpResponse answer_admin(Hub& hub, const Route& route, std::string_view body) {
  if (route.endpoint == Endpoint::admin_cache) return reply_to(status(hub));
  if (route.endpoint == Endpoint::admin_cache_advice) return reply_to(advice(hub));
  return reply_to(change(hub, route.endpoint, body));
}

}  // namespace headwater::gateway
