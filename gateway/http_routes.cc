#include "gateway/http_routes.h"

#include <charconv>

namespace headwater::gateway {
namespace {

struct Entry {
  std::string_view path;
  Endpoint endpoint;
  bool takes_body;
  bool is_public;
};

constexpr Entry kRoutes[] = {
    {"/v1/chat/completions", Endpoint::chat, true, false},
    {"/v1/completions", Endpoint::completions, true, false},
    {"/v1/models", Endpoint::models, false, false},
    {"/v1/stream", Endpoint::stream, false, false},
    {"/tokenize", Endpoint::tokenize, true, false},
    {"/detokenize", Endpoint::detokenize, true, false},
    {"/health", Endpoint::health, false, true},
    {"/ready", Endpoint::ready, false, true},
    {"/metrics", Endpoint::metrics, false, false},
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
    if (entry.path == path) return {entry.endpoint, entry.takes_body, entry.is_public, ""};
  }
  if (path.starts_with(kModelPrefix) && path.size() > kModelPrefix.size()) {
    return {Endpoint::model, false, false, percent_decoded(path.substr(kModelPrefix.size()))};
  }
  return {};
}

std::string_view allowed_methods(const Route& route) {
  if (route.takes_body) return "POST";
  return route.endpoint == Endpoint::stream ? "GET" : "GET, HEAD";
}

}  // namespace headwater::gateway
