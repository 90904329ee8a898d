#pragma once
// Names of calls: what a client sends as X-Request-Id, or one of our own.

#include <string>
#include <string_view>

namespace headwater::gateway {

inline constexpr std::string_view kRequestIdHeader = "X-Request-Id";
inline constexpr std::size_t kMaxRequestIdBytes = 128;

/// `prefix` and 24 random hexadecimal digits.
std::string random_id(std::string_view prefix);

/// Whether a client's id may stand in a header and in the log: 1 … 128 letters, digits and any of "-._:/+=@~".
bool is_request_id(std::string_view text);

/// The client's id where it may be used, else a random one.
std::string request_id(std::string_view given);

/// A client's text of any kind as it may stand in the log: at most 128 bytes, other characters replaced by '?'.
std::string loggable_id(std::string_view text);

}  // namespace headwater::gateway
