#include "gateway/http_reply.h"

#include <cstdio>
#include <ctime>

#include "gateway/api_error.h"

namespace headwater::gateway {
namespace {

beast::string_view view(std::string_view text) { return {text.data(), text.size()}; }

HttpResponse reply(unsigned status, std::string body, std::string_view content_type) {
  HttpResponse response;
  response.result(status);
  response.set(http::field::content_type, view(content_type));
  response.body() = std::move(body);
  return response;
}

}  // namespace

HttpResponse json_reply(Json body) {
  const JsonDocument document(std::move(body));
  return reply(200, to_text(document), "application/json");
}

HttpResponse text_reply(std::string body, std::string_view content_type) {
  return reply(200, std::move(body), content_type);
}

std::string http_date(std::chrono::system_clock::time_point time) {
  // Not by strftime(): the names must not follow the locale.
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[64];
  std::snprintf(text, sizeof(text), "%s, %02d %s %d %02d:%02d:%02d GMT", kDays[utc.tm_wday], utc.tm_mday,
                kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  return text;
}

HttpResponse error_reply(const Error& error) {
  const unsigned status = status_of(error.code);
  HttpResponse response = reply(status, to_text(error_body(error)), "application/json");
  if (status == 401) response.set(http::field::www_authenticate, "Bearer");
  if (status == 429 || status == 503) {
    const std::uint32_t known = error.retry_after;
    response.set(http::field::retry_after, std::to_string(known > 0 ? known : status == 429 ? 1 : 5));
  }
  if (status == 426) {
    response.set(http::field::upgrade, "websocket");
    response.set(http::field::connection, "Upgrade");
  }
  return response;
}

}  // namespace headwater::gateway
