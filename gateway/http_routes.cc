#include "gateway/http_routes.h"

#include <charconv>

namespace headwater::gateway {
namespace {

struct Entry {
  std::string_view path;
  Endpoint endpoint;
  Method method;
  Access access;
};

constexpr Entry kRoutes[] = {
    {"/v1/chat/completions", Endpoint::chat, Method::post, Access::client},
    {"/v1/completions", Endpoint::completions, Method::post, Access::client},
    {"/v1/models", Endpoint::models, Method::get, Access::client},
    {"/v1/stream", Endpoint::stream, Method::get, Access::client},
    {"/tokenize", Endpoint::tokenize, Method::post, Access::client},
    {"/detokenize", Endpoint::detokenize, Method::post, Access::client},
    {"/health", Endpoint::health, Method::get, Access::everybody},
    {"/ready", Endpoint::ready, Method::get, Access::everybody},
    {"/metrics", Endpoint::metrics, Method::get, Access::client},
    {"/admin/cache", Endpoint::admin_cache, Method::get, Access::admin},
    {"/admin/cache/advice", Endpoint::admin_cache_advice, Method::get, Access::admin},
    {"/admin/cache/flush", Endpoint::admin_flush, Method::post, Access::admin},
    {"/admin/cache/pin", Endpoint::admin_pin, Method::post, Access::admin},
    {"/admin/cache/unpin", Endpoint::admin_unpin, Method::post, Access::admin},
};

/// Paths that end with a name.
constexpr Entry kNamed[] = {
    {"/v1/models/", Endpoint::model, Method::get, Access::client},
    {"/v1/sessions/", Endpoint::session, Method::delete_, Access::client},
};

/// %41 → A; what is no escape stays.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* end = text.data() + i + 3;
      if (std::from_chars(text.data() + i + 1, end, value, 16).ptr == end) {
        decoded += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    decoded += text[i];
  }
  return decoded;
}

}  // namespace

Route find_route(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  for (const Entry& entry : kRoutes) {
    if (entry.path == path) return {entry.endpoint, entry.method, entry.access, ""};
  }
  for (const Entry& entry : kNamed) {
    if (!path.starts_with(entry.path) || path.size() == entry.path.size()) continue;
    return {entry.endpoint, entry.method, entry.access, percent_decoded(path.substr(entry.path.size()))};
  }
  return {};
}

std::string_view path_of(Endpoint endpoint) {
  for (const Entry& entry : kRoutes) {
    if (entry.endpoint == endpoint) return entry.path;
  }
  for (const Entry& entry : kNamed) {
    if (entry.endpoint == endpoint) return entry.path;
  }
  return "unknown";
}

std::string_view allowed_methods(const Route& route) {
  if (route.takes_body()) return "POST";
  if (route.method == Method::delete_) return "DELETE";
  return route.endpoint == Endpoint::stream ? "GET" : "GET, HEAD";
}

}  // namespace headwater::gateway
