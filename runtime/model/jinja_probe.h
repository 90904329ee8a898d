#pragma once
// What a model's chat template writes for a conversation, to be held against what is written natively.
//
// This is no engine for requests: it understands the part of Jinja that plain conversations reach, in bounded steps,
// and says so where it does not.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "headwater/request.h"

namespace headwater::model {

struct ProbeResult {
  std::optional<std::string> text;  ///< none: see below
  std::string unknown;              ///< what is not understood
  bool raised = false;              ///< the template refuses the conversation
};

/// `bos`, `eos`: what stands for these tokens in the text.
ProbeResult probe_template(std::string_view jinja, std::span<const ChatMessage> messages, std::string_view bos,
                           std::string_view eos);

}  // namespace headwater::model
