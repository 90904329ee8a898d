#include "gateway/request_head.h"

#include <algorithm>
#include <string>

namespace headwater::gateway {
namespace {

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool equal(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

/// host, host:port, [address] or [address]:port in the characters that hosts are made of.
bool is_host(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return false;
  const std::string_view name = bracketed ? text.substr(1, end - 1) : text.substr(0, end);
  const auto fits = [&](char c) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.';
    return plain || (bracketed ? c == ':' || c == '%' : c == '-' || c == '_');
  };
  if (name.empty() || name.size() > 255 || !std::all_of(name.begin(), name.end(), fits)) return false;
  const std::string_view rest = text.substr(bracketed ? end + 1 : end);
  return rest.empty() || (rest.size() <= 6 && rest[0] == ':' && is_digits(rest.substr(1)));
}

/// Where "chunked" is not what comes last, nobody can tell where the body ends. Source: RFC 9112, section 6.3; what is
/// not understood is 501 by section 6.1.
std::optional<Error> check_coding(const HttpRequest& request) {
  std::size_t codings = 0, chunked = 0;
  bool last_is_chunked = true;
  const auto [begin, end] = request.equal_range(http::field::transfer_encoding);
  for (auto field = begin; field != end; ++field) {
    for (std::string_view rest = view(field->value());;) {
      const std::size_t comma = rest.find(',');
      ++codings;
      last_is_chunked = equal(trimmed(rest.substr(0, comma)), "chunked");
      if (last_is_chunked) ++chunked;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  if (!last_is_chunked || chunked > 1) {
    return Error{ErrorCode::bad_http, "the last Transfer-Encoding must be \"chunked\", and stand once", ""};
  }
  if (codings > 1) {
    return Error{ErrorCode::unsupported_transfer_encoding,
                 "the only Transfer-Encoding that is understood is \"chunked\"", ""};
  }
  return std::nullopt;
}

std::optional<Error> check_host(const HttpRequest& request) {
  const std::size_t hosts = request.count(http::field::host);
  if (hosts > 1) return Error{ErrorCode::bad_http, "there is more than one Host header", ""};
  if (hosts == 0) {
    if (request.version() < 11) return std::nullopt;
    return Error{ErrorCode::bad_http, "the Host header is missing; HTTP/1.1 needs it", ""};
  }
  if (!is_host(trimmed(view(request[http::field::host]))) || !is_host(host_of(request))) {
    return Error{ErrorCode::bad_http, "the Host header names no host", ""};
  }
  return std::nullopt;
}

}  // namespace

Target split_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal(target.substr(0, scheme.size()), scheme)) continue;
    const std::string_view rest = target.substr(scheme.size());
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    return {rest.substr(0, end), end == rest.size() ? std::string_view("/") : rest.substr(end)};
  }
  return {{}, target};
}

std::string_view host_of(const HttpRequest& request) {
  const std::string_view named = split_target(view(request.target())).authority;
  return named.empty() ? trimmed(view(request[http::field::host])) : named;
}

std::optional<Error> check_framing(const HttpRequest& request) {
  const std::size_t codings = request.count(http::field::transfer_encoding);
  const std::size_t lengths = request.count(http::field::content_length);
  if (codings > 0 && lengths > 0) {
    return Error{ErrorCode::bad_http, "there are both a Transfer-Encoding and a Content-Length; send one of them", ""};
  }
  if (codings > 0 && request.version() < 11) {
    return Error{ErrorCode::bad_http, "HTTP/1.0 knows no Transfer-Encoding; send a Content-Length", ""};
  }
  if (auto wrong = check_coding(request)) return wrong;
  if (lengths > 1 || (lengths == 1 && !is_digits(trimmed(view(request[http::field::content_length]))))) {
    return Error{ErrorCode::bad_http, "the Content-Length is not one number", ""};
  }
  return check_host(request);
}

std::optional<Error> check_caller(const Origins& origins, const HttpRequest& request) {
  const std::string_view host = host_of(request);
  if (!host.empty() && !origins.takes_host(host)) {
    const std::string name(without_port(host));
    return Error{ErrorCode::foreign_host,
                 "this server does not go by the name \"" + name +
                     "\" (so that no web page can reach it by one); start it with --allow-host " + name,
                 ""};
  }
  if (request.count(http::field::origin) == 0) return std::nullopt;
  const std::string_view origin = view(request[http::field::origin]);
  if (request.count(http::field::origin) == 1 && origins.takes_origin(origin, host)) return std::nullopt;
  return Error{ErrorCode::foreign_origin,
               "web pages of \"" + std::string(origin.substr(0, 128)) +
                   "\" may not use this server; start it with --allow-origin to let them",
               ""};
}

bool has_body(const HttpRequest& request) {
  if (request.count(http::field::transfer_encoding) > 0) return true;
  const std::string_view length = trimmed(view(request[http::field::content_length]));
  return length.find_first_not_of('0') != std::string_view::npos;
}

std::optional<Error> check_body_type(const HttpRequest& request) {
  const std::string_view type = view(request[http::field::content_type]);
  if (!equal(trimmed(type.substr(0, type.find(';'))), "application/json")) {
    return Error{ErrorCode::unsupported_media_type, "the body must be JSON, with \"Content-Type: application/json\"",
                 ""};
  }
  const std::string_view coding = trimmed(view(request[http::field::content_encoding]));
  if (!coding.empty() && !equal(coding, "identity")) {
    return Error{ErrorCode::unsupported_media_type,
                 "the body has the Content-Encoding \"" + std::string(coding.substr(0, 64)) +
                     "\", which is not understood here; send it without one",
                 ""};
  }
  return std::nullopt;
}

std::optional<Error> check_upgrade(const HttpRequest& request) {
  const std::string_view key = trimmed(view(request[http::field::sec_websocket_key]));
  const auto in_base64 = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  const bool right = request.count(http::field::sec_websocket_key) == 1 && key.size() == 24 && key.ends_with("==") &&
                     std::all_of(key.begin(), key.begin() + 22, in_base64);
  if (right) return std::nullopt;
  return Error{ErrorCode::bad_http, "the Sec-WebSocket-Key must be 16 bytes in base64", ""};
}

}  // namespace headwater::gateway
