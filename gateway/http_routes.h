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
  session,
};

enum class Method {
  get,   ///< and HEAD
  post,  ///< with JSON
  delete_,
};

/// Who may call an endpoint.
enum class Access {
  client,     ///< with an API key, where there are some
  everybody,  ///< without a key
  admin,      ///< with the admin key; where there is none, nobody: the path is not there
};

struct Route {
  Endpoint endpoint = Endpoint::unknown;
  Method method = Method::get;
  Access access = Access::client;
  std::string argument;  ///< model: the id asked for; session: the name

  bool takes_body() const { return method == Method::post; }
};

/// `target` as it stands in the request line; a query is ignored.
Route find_route(std::string_view target);

/// The path of an endpoint, without a name at its end; "unknown" for none.
std::string_view path_of(Endpoint endpoint);

/// The value of `Allow` for a route.
std::string_view allowed_methods(const Route& route);

}  // namespace headwater::gateway
