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

Error error_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return {ErrorCode::unavailable,
            "the server has no memory left for this request; try again later or send a smaller one", ""};
  } catch (...) {
    return {ErrorCode::computation_failed, "the server failed to answer this request; its log says why", ""};
  }
}

Json error_object(const Error& error) {
  Json object = {{"message", error.message}, {"type", type_of(status_of(error.code))}, {"code", name_of(error.code)}};
  object["param"] = error.param.empty() ? Json(nullptr) : Json(error.param);
  if (error.retry_after > 0) object["retry_after"] = error.retry_after;
  return object;
}

Json error_body(const Error& error) { return {{"error", error_object(error)}}; }

}  // namespace headwater::gateway
