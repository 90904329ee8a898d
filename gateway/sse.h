#pragma once
// Server-sent events over HTTP. Source: WHATWG HTML, section 9.2.

#include <string>
#include <string_view>

#include "gateway/json_text.h"

namespace headwater::gateway {

/// One event. JSON text has no line breaks, so one `data` line holds it.
inline std::string sse_event(const Json& data) { return "data: " + to_text(data) + "\n\n"; }

/// The end of a stream in OpenAI's APIs.
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

/// A comment, which clients skip: shows proxies and us that the connection lives.
inline constexpr std::string_view kSseComment = ": waiting\n\n";

}  // namespace headwater::gateway
