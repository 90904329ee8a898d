#include "gateway/origins.h"

#include <algorithm>
#include <charconv>

#include "gateway/asio.h"

namespace headwater::gateway {
namespace {

bool equal(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

std::string_view without_brackets(std::string_view name) {
  return name.size() > 2 && name.front() == '[' && name.back() == ']' ? name.substr(1, name.size() - 2) : name;
}

std::optional<net::ip::address> address_of(std::string_view name) {
  const std::string_view bare = without_brackets(name);
  IoError error;
  const auto address = net::ip::make_address(std::string(bare), error);
  if (error) return std::nullopt;
  return address;
}

/// An origin as browsers write it: without the port that its scheme has anyway.
std::string_view as_sent(std::string_view origin) {
  for (const auto& [scheme, port] :
       {std::pair<std::string_view, std::string_view>{"https://", ":443"}, {"http://", ":80"}}) {
    if (origin.size() > scheme.size() && equal(origin.substr(0, scheme.size()), scheme) && origin.ends_with(port)) {
      return origin.substr(0, origin.size() - port.size());
    }
  }
  return origin;
}

/// A name or an address, with or without a port.
bool is_authority(std::string_view text) {
  const std::string_view name = without_port(text);
  if (name.empty() || name.find_first_of("/*?#@\\ \t") != std::string_view::npos) return false;
  if (name.size() == text.size()) return true;
  const std::string_view port = text.substr(name.size() + 1);
  unsigned number = 0;
  const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
  return failed == std::errc() && end == port.data() + port.size() && number > 0 && number < 65'536;
}

/// "scheme://authority" → authority with its port. Empty: it is none ("null" is what browsers say of files).
std::string authority_of(std::string_view origin) {
  const std::size_t end = origin.find("://");
  if (end == std::string_view::npos) return "";
  const std::string_view scheme = origin.substr(0, end);
  std::string authority(origin.substr(end + 3));
  if (without_port(authority).size() == authority.size()) authority += equal(scheme, "https") ? ":443" : ":80";
  return authority;
}

}  // namespace

std::string_view without_port(std::string_view host) {
  const std::size_t bracket = host.find(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return host.substr(0, colon);
}

bool is_loopback(std::string_view name) {
  if (equal(name, "localhost") || equal(name, "localhost.")) return true;
  const auto address = address_of(name);
  return address && address->is_loopback();
}

Origins::Origins(std::string host, std::vector<std::string> hosts, std::vector<std::string> origins)
    : host_(std::move(host)), hosts_(std::move(hosts)), origins_(std::move(origins)) {}

bool Origins::knows(std::string_view host) const {
  const std::string_view name = without_port(host);
  if (is_loopback(name) || equal(without_brackets(name), host_)) return true;
  // Nobody can point an address elsewhere; but on loopback none of them leads here.
  if (!only_known_hosts_ && address_of(name)) return true;
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const std::string& known) {
    return known == "*" || equal(known, name) || equal(known, host);
  });
}

bool Origins::takes_origin(std::string_view origin, std::string_view host) const {
  const auto allows = [&](const std::string& allowed) { return allowed == "*" || equal(as_sent(allowed), origin); };
  if (std::any_of(origins_.begin(), origins_.end(), allows)) return true;
  const std::string own = authority_of(origin);
  if (own.empty() || !knows(host)) return false;
  if (without_port(host).size() == host.size()) {
    return equal(own, std::string(host) + ":80") || equal(own, std::string(host) + ":443");
  }
  return equal(own, host);
}

std::optional<std::string> check_origin(std::string_view origin) {
  if (origin == "*" || origin == "null") return std::nullopt;
  const std::size_t scheme = origin.find("://");
  if (scheme != std::string_view::npos && scheme > 0 && is_authority(origin.substr(scheme + 3))) return std::nullopt;
  std::string message = "\"";
  message.append(origin).append("\" is no origin; write it as browsers do: https://app.example, or * for any");
  return message;
}

std::optional<std::string> check_origins(const std::vector<std::string>& origins) {
  for (const std::string& origin : origins) {
    if (auto wrong = check_origin(origin)) return wrong;
  }
  return std::nullopt;
}

}  // namespace headwater::gateway
