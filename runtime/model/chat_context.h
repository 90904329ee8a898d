#pragma once
// A conversation as chat templates see it.
//
// Threading: functions without state.

#include <span>

#include "headwater/request.h"
#include "headwater/result.h"
#include "model/jinja/template.h"

namespace headwater::model {

/// `messages`, `tools`, `add_generation_prompt` and the request's own variables. What a client says is data; a role is
/// as good as the template's text where it is one of those that models know. A call's arguments that are JSON in a
/// string are read, as templates expect. Errors "invalid_request", "unsupported_parameter": no message; what is no
/// JSON, or no list or object; a variable with a name that is ours; what `chat` has no place for.
Result<jinja::Variables> chat_context(const jinja::Template& chat, std::span<const ChatMessage> messages,
                                      const ChatOptions& options);

}  // namespace headwater::model
