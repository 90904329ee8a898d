#pragma once
// POST /v1/chat/completions: JSON in, GenerateCall out; and its answers.

#include "gateway/generate_call.h"
#include "gateway/json_fields.h"

namespace headwater::gateway {

/// `ignored`: gets the unknown fields; null: they are refused. `text`: what the body was read from, whose order of keys
/// tools and their calls keep; empty: it is not known.
Result<GenerateCall> parse_chat(const Json& body, const ModelInfo& model, IgnoredFields* ignored = nullptr,
                                std::string_view text = {});

/// Reads the field `messages`: roles, contents that are text or lists of text parts, and calls of tools.
void read_messages(Fields& fields, std::vector<ChatMessage>& out);

/// Reads `tools` and `chat_template_kwargs`, which the model's template is given.
void read_chat_options(Fields& fields, ChatOptions& out);
/// Refuses them, where there is no conversation.
void refuse_chat_options(Fields& fields);

const Dialect& chat_dialect();

}  // namespace headwater::gateway
