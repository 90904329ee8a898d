#pragma once
// What all connections of a server share.
// Threading: all that is here may be used by any number of threads at once.

#include <atomic>

#include "gateway/api_keys.h"
#include "gateway/asio.h"
#include "gateway/buffer_budget.h"
#include "gateway/connections.h"
#include "gateway/conversations.h"
#include "gateway/metrics.h"
#include "gateway/origins.h"
#include "gateway/request_log.h"
#include "gateway/server.h"
#include "gateway/unknown_fields.h"
#include "gateway/worker_pool.h"

namespace headwater::gateway {

struct Hub {
  Hub(Runtime& runtime, const ServerOptions& options)
      : runtime(runtime),
        options(options),
        model(runtime.model()),
        keys(options.api_keys),
        admin(options.admin_keys),
        origins(options.host, options.allow_hosts, options.allow_origins),
        metrics(runtime),
        budget(options.max_buffered_bytes > 0 ? options.max_buffered_bytes : default_buffer_limit()),
        connections(options.max_connections),
        conversations(limits_of(options)) {}

  /// Forgets a session's messages, and unpins its blocks. Errors: "session_busy"; "not_found".
  Result<void> end_session(const std::string& tenant, const std::string& session) {
    const auto ended = conversations.end({tenant, session}, std::chrono::steady_clock::now());
    // One that is not known here any more may still have a pin.
    if (ended || ended.error().code == ErrorCode::not_found) runtime.end_session(tenant, session);
    return ended;
  }

  Runtime& runtime;
  const ServerOptions options;
  const ModelInfo model;
  const ApiKeys keys;
  const ApiKeys admin;  ///< required() false: there are no admin endpoints
  Origins origins;
  Metrics metrics;
  BufferBudget budget;
  RequestLog log;
  Connections connections;
  Conversations conversations;
  UnknownFields unknown_fields;
  std::atomic<bool> accepting{true};
  WorkerPool workers{2};   ///< for computing that would hold up sockets
  WorkerPool scrapers{1};  ///< for waiting: the runtime's stages may take a second to tell their stats

 private:
  static ConversationLimits limits_of(const ServerOptions& options) {
    ConversationLimits limits;
    limits.conversations = options.max_sessions;
    // With keys, no tenant can keep the others out.
    limits.per_tenant = options.api_keys.empty() ? options.max_sessions : (options.max_sessions + 3) / 4;
    limits.bytes = options.max_session_bytes;
    limits.ttl = options.session_ttl;
    return limits;
  }
};

}  // namespace headwater::gateway
