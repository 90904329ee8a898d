#pragma once
// The frames of the WebSocket API, as JSON.
//
// client: {"type": "generate", "id", "prompt" | "messages" | "prompt_ids", "params"?, "cache_salt"?, "cache"?,
//          "session"?, "timeout_ms"?, "add_special_tokens"?, "model"?},
//         {"type": "cancel", "id"}, {"type": "end_session", "id", "session"}
// With a session, "messages" are those of the new turn: the server has the ones before it, and their answers.
// server: accepted, prompt, token, then one of finished, cancelled, failed; session_ended; and error for a frame that
// is not understood.

#include <optional>
#include <string>
#include <variant>

#include "gateway/json_fields.h"
#include "headwater/request.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

struct GenerateFrame {
  std::string id;  ///< the client's name for the request
  Request request;
};
struct CancelFrame {
  std::string id;
};
struct EndSessionFrame {
  std::string id;
  std::string session;
};
/// A frame that is not understood, with its id where that much is clear.
struct BadFrame {
  std::optional<std::string> id;
  Error error;
};

using ClientFrame = std::variant<GenerateFrame, CancelFrame, EndSessionFrame, BadFrame>;

/// Reads one text message. `ignored`: gets the unknown fields; null: they are refused.
ClientFrame parse_frame(std::string_view text, const ModelInfo& model, IgnoredFields* ignored = nullptr);

/// `messages`: of the session, with the new turn; none: the request has no session.
Json accepted_frame(const std::string& id, const Client::Ticket& ticket, std::optional<std::size_t> messages = {});
Json event_frame(const std::string& id, const TokenEvent& event);
Json session_ended_frame(const EndSessionFrame& ended);
Json error_frame(const std::optional<std::string>& id, const Error& error);

}  // namespace headwater::gateway
