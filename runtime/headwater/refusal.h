#pragma once
// Why a request was not taken, for counters. Constants alone: may be used from any thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headwater {

enum class Refusal : std::uint8_t {
  invalid,          ///< it is wrong, or asks for what is not served
  too_long,         ///< it fits into no context, or is longer than what is read
  queue_full,       ///< as many requests are under way as may be
  connection_full,  ///< the same of its connection
  share_used,       ///< its tenant has its share of those, and others need theirs
  deadline,         ///< its answer would come after its deadline
  max_wait,         ///< it would wait for longer than the operator lets one wait
  no_memory,        ///< the process or its buffers are full
  draining,         ///< the server stops
  unavailable,      ///< a part of the server was given up
};

inline constexpr std::array<std::string_view, 10> kRefusalNames = {
    "invalid",  "too_long", "queue_full", "connection_full", "share_used",
    "deadline", "max_wait", "no_memory",  "draining",        "unavailable"};

constexpr std::string_view name_of(Refusal refusal) { return kRefusalNames[static_cast<std::size_t>(refusal)]; }

}  // namespace headwater
