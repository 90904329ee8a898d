#pragma once
// An Error as clients of OpenAI's API expect it.

#include "gateway/json_text.h"
#include "headwater/result.h"

namespace headwater::gateway {

/// {"message", "type", "param", "code"}, with null for an empty param.
Json error_object(const Error& error);

/// {"error": error_object()}.
Json error_body(const Error& error);

}  // namespace headwater::gateway
