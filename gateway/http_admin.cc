#include "gateway/http_admin.h"

#include "gateway/cache_report.h"

namespace headwater::gateway {
namespace {

/// GET /admin/cache: what the prefix cache holds.
Json cache_json(const Hub& hub) {
  const Stats stats = hub.runtime.stats();
  return {{"blocks",
           {{"total", stats.blocks_total},
            {"free", stats.blocks_free},
            {"active", stats.blocks_active},
            {"cached", stats.blocks_cached}}},
          {"block_tokens", stats.block_tokens},
          {"block_bytes", hub.model.kv_bytes_per_token * stats.block_tokens},
          {"hits", {{"query_tokens", stats.prefix_query_tokens}, {"hit_tokens", stats.prefix_hit_tokens}}},
          {"evictions", evictions_json(stats)}};
}

/// GET /admin/cache/advice: what more or less memory would bring.
HttpResponse advice(const Hub& hub) {
  const auto advice = hub.runtime.cache_advice();
  return advice ? json_reply(advice_json(*advice, hub.runtime.stats())) : error_reply(advice.error());
}

}  // namespace

HttpResponse answer_admin(Hub& hub, const Route& route, std::string_view) {
  switch (route.endpoint) {
    case Endpoint::admin_cache:
      return json_reply(cache_json(hub));
    case Endpoint::admin_cache_advice:
      return advice(hub);
    default:
      return error_reply({"not_found", "there is no such admin endpoint", ""});
  }
}

}  // namespace headwater::gateway
