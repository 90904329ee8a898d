#pragma once
// POST /v1/chat/completions: JSON in, GenerateCall out; and its answers.

#include "gateway/generate_call.h"
#include "gateway/json_fields.h"

namespace headwater::gateway {

/// `ignored`: gets the unknown fields; null: they are refused.
Result<GenerateCall> parse_chat(const Json& body, const ModelInfo& model, IgnoredFields* ignored = nullptr);

/// Reads the field `messages`: roles, and contents that are text or lists of text parts.
void read_messages(Fields& fields, std::vector<ChatMessage>& out);

const Dialect& chat_dialect();

}  // namespace headwater::gateway
