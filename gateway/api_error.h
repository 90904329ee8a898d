#pragma once
// An Error as clients of OpenAI's API expect it.

#include <exception>

#include "gateway/json_text.h"
#include "headwater/result.h"

namespace headwater::gateway {

/// What a request is told whose handling has thrown: "unavailable" for want of memory, else "computation_failed".
Error error_of(const std::exception_ptr& failure);

/// {"message", "type", "param", "code"}, with null for an empty param; "retry_after" in seconds where it is known.
Json error_object(const Error& error);

/// {"error": error_object()}.
Json error_body(const Error& error);

}  // namespace headwater::gateway
