#include "gateway/http_admin.h"

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
          {"evictions", stats.evictions}};
}

}  // namespace

HttpResponse answer_admin(Hub& hub, const Route& route, std::string_view) {
  switch (route.endpoint) {
    case Endpoint::admin_cache:
      return json_reply(cache_json(hub));
    default:
      return error_reply({"not_found", "there is no such admin endpoint", ""});
  }
}

}  // namespace headwater::gateway
