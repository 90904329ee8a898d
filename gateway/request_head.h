#pragma once
// What may be wrong with the head of a request, whoever sent it and whatever it asks for. Pure functions.

#include <optional>
#include <string_view>

#include "gateway/http_reply.h"
#include "gateway/origins.h"

namespace headwater::gateway {

/// How a request-target names what is wanted. Source: RFC 9112, section 3.2.
struct Target {
  std::string_view authority;  ///< absolute-form only: it stands for the Host header then
  std::string_view path;       ///< with the query
};
Target split_target(std::string_view target);

/// The host (and port) that a request is for: the target's, else the Host header's.
std::string_view host_of(const HttpRequest& request);

/// Heads that two readers could take for different requests (smuggling): any Transfer-Encoding but "chunked", one
/// beside a Content-Length, a Content-Length that is no single number, and Host headers that are missing, doubled
/// or no host. After such a head nothing more can be read from the connection. Source: RFC 9112, sections 3.2, 6.
std::optional<Error> check_framing(const HttpRequest& request);

/// Names of the server that are not known, and pages that may not use it: to be answered with status 403.
std::optional<Error> check_caller(const Origins& origins, const HttpRequest& request);

/// Whether a body follows the head. REQUIRES: check_framing() found nothing.
bool has_body(const HttpRequest& request);

/// A body that is not plain JSON: another Content-Type or none, or a Content-Encoding.
std::optional<Error> check_body_type(const HttpRequest& request);

/// A WebSocket's opening: its key must be 16 bytes in base64. Source: RFC 6455, section 4.2.1.
std::optional<Error> check_upgrade(const HttpRequest& request);

}  // namespace headwater::gateway
