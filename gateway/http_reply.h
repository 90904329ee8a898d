#pragma once
// Whole HTTP responses.

#include <chrono>
#include <string>

#include "gateway/asio.h"
#include "gateway/json_text.h"
#include "headwater/result.h"

namespace headwater::gateway {

using HttpRequest = http::request<http::string_body>;
using HttpResponse = http::response<http::string_body>;

HttpResponse json_reply(Json body);
HttpResponse text_reply(std::string body, std::string_view content_type);
/// IMF-fixdate, as in "Sun, 06 Nov 1994 08:49:37 GMT". Source: RFC 9110, section 5.6.7.
std::string http_date(std::chrono::system_clock::time_point time);

/// The status that belongs to the error, with Retry-After or WWW-Authenticate where they help.
HttpResponse error_reply(const Error& error);

}  // namespace headwater::gateway
