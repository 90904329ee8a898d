#pragma once
// Which paths there are and what they take.

#include <string>
#include <string_view>

namespace headwater::gateway {

enum class Endpoint {
  unknown,
  chat,
  completions,
  models,
  model,
  tokenize,
  detokenize,
  health,
  ready,
  metrics,
  stream,
  admin_cache,
  admin_cache_advice,
  admin_flush,
  admin_pin,
  admin_unpin,
};

/// Who may call an endpoint.
enum class Access {
  client,     ///< with an API key, where there are some
  everybody,  ///< without a key
  admin,      ///< with the admin key; where there is none, nobody: the path is not there
};

struct Route {
  Endpoint endpoint = Endpoint::unknown;
  bool takes_body = false;  ///< POST with JSON; otherwise GET (and HEAD)
  Access access = Access::client;
  std::string argument;  ///< model: the id asked for
};

/// `target` as it stands in the request line; a query is ignored.
Route find_route(std::string_view target);

/// The value of `Allow` for a route.
std::string_view allowed_methods(const Route& route);

}  // namespace headwater::gateway
