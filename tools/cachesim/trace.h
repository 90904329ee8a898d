#pragma once
// Traces of requests, as published with Mooncake (FAST 2025): JSON Lines with `timestamp` in milliseconds,
// `input_length`, `output_length` and `hash_ids`, one for each block of 512 tokens of the prompt. Equal ids mean that
// everything up to and with that block is equal.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "schedule/step.h"

namespace headwater::cachesim {

struct TraceRequest {
  TimeNs at = 0;                ///< later than the request before, be it by a nanosecond
  std::vector<TokenId> blocks;  ///< numbers from 0 to Trace::distinct_blocks
};

struct Trace {
  std::vector<TraceRequest> requests;
  std::uint32_t distinct_blocks = 0;
  std::uint64_t total_blocks = 0;  ///< of all requests
};

/// `name`: the file's, for messages. Errors: file, line, field and what would be right; no request with blocks.
Result<Trace> parse_trace(std::string_view text, const std::string& name);

}  // namespace headwater::cachesim
