#include "gateway/api_error.h"

#include <string_view>

namespace headwater::gateway {
namespace {

std::string_view type_of(unsigned status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

}  // namespace

Json error_object(const Error& error) {
  Json object = {{"message", error.message}, {"type", type_of(status_of(error.code))}, {"code", name_of(error.code)}};
  object["param"] = error.param.empty() ? Json(nullptr) : Json(error.param);
  return object;
}

Json error_body(const Error& error) { return {{"error", error_object(error)}}; }

}  // namespace headwater::gateway
