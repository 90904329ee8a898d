#include "gateway/http_routes.h"

#include <charconv>

namespace headwater::gateway {
namespace {

struct Entry {
  std::string_view path;
  Endpoint endpoint;
  bool takes_body;
  Access access;
};

constexpr Entry kRoutes[] = {
    {"/v1/chat/completions", Endpoint::chat, true, Access::client},
    {"/v1/completions", Endpoint::completions, true, Access::client},
    {"/v1/models", Endpoint::models, false, Access::client},
    {"/v1/stream", Endpoint::stream, false, Access::client},
    {"/tokenize", Endpoint::tokenize, true, Access::client},
    {"/detokenize", Endpoint::detokenize, true, Access::client},
    {"/health", Endpoint::health, false, Access::everybody},
    {"/ready", Endpoint::ready, false, Access::everybody},
    {"/metrics", Endpoint::metrics, false, Access::client},
    {"/admin/cache", Endpoint::admin_cache, false, Access::admin},
    {"/admin/cache/advice", Endpoint::admin_cache_advice, false, Access::admin},
    {"/admin/cache/flush", Endpoint::admin_flush, true, Access::admin},
    {"/admin/cache/pin", Endpoint::admin_pin, true, Access::admin},
    {"/admin/cache/unpin", Endpoint::admin_unpin, true, Access::admin},
};

constexpr std::string_view kModelPrefix = "/v1/models/";

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
    if (entry.path == path) return {entry.endpoint, entry.takes_body, entry.access, ""};
  }
  if (path.starts_with(kModelPrefix) && path.size() > kModelPrefix.size()) {
    return {Endpoint::model, false, Access::client, percent_decoded(path.substr(kModelPrefix.size()))};
  }
  return {};
}

std::string_view allowed_methods(const Route& route) {
  if (route.takes_body) return "POST";
  return route.endpoint == Endpoint::stream ? "GET" : "GET, HEAD";
}

}  // namespace headwater::gateway
