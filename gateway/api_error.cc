#include "gateway/api_error.h"

#include <string_view>

namespace headwater::gateway {
namespace {

struct Known {
  std::string_view code;
  unsigned status;
};

constexpr Known kKnown[] = {
    {"invalid_request", 400},
    {"invalid_json", 400},
    {"unknown_parameter", 400},
    {"unsupported_parameter", 400},
    {"context_length_exceeded", 400},
    {"bad_http", 400},
    {"invalid_api_key", 401},
    {"invalid_admin_key", 401},
    {"not_found", 404},
    {"model_not_found", 404},
    {"method_not_allowed", 405},
    {"request_timeout", 408},
    {"duplicate_id", 409},
    {"session_busy", 409},
    {"payload_too_large", 413},
    {"unsupported_media_type", 415},
    {"websocket_expected", 426},
    {"overloaded", 429},
    {"header_too_large", 431},
    {"draining", 503},
    {"unavailable", 503},
    {"too_many_connections", 503},
    {"deadline_exceeded", 504},
};

std::string_view type_of(unsigned status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

}  // namespace

unsigned status_of(const Error& error) {
  for (const auto& [code, status] : kKnown) {
    if (error.code == code) return status;
  }
  return 500;
}

Json error_object(const Error& error) {
  Json object = {{"message", error.message}, {"type", type_of(status_of(error))}, {"code", error.code}};
  object["param"] = error.param.empty() ? Json(nullptr) : Json(error.param);
  return object;
}

Json error_body(const Error& error) { return {{"error", error_object(error)}}; }

}  // namespace headwater::gateway
