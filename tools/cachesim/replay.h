#pragma once
// Replays a trace through the classes that the server runs: cache::PrefixCache and cache::Evictor.
//
// A request's blocks are matched, computed, published and released when it arrives, tails before heads, so a block's
// last use is before that of the blocks it hangs below. A block is a hit if it and its whole prefix are cached.

#include <cstdint>
#include <functional>
#include <string>

#include "cache/eviction.h"
#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

/// The clairvoyant policy's name: gives up the block that is wanted again last.
inline constexpr const char* kOptimal = "optimal";

struct Replay {
  std::string policy;  ///< as cache::make_policy() knows it, or kOptimal
  std::uint32_t capacity = 0;
};

/// Hits of all requested blocks, 0 to 1. Calls `progress` with the number of requests done since the last call.
/// Errors: an unknown policy.
Result<double> replay(const Trace& trace, const Replay& replay, const std::function<void(std::uint64_t)>& progress);

}  // namespace headwater::cachesim
