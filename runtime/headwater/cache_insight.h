#pragma once
// What the prefix cache tells of itself: plain data.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

/// Where what was found in the prefix cache lay. `disk`: all of it, or a part.
enum class CacheSource : std::uint8_t { none, memory, disk };

/// Why tokens of a prompt were not found in the prefix cache. Nothing tells of other tenants: what only they have sent
/// is never_seen.
enum class CacheMiss : std::uint8_t {
  none,             ///< all that can be found was
  never_seen,       ///< or so long ago that nobody remembers
  evicted,          ///< was cached, and given up for something else
  expired,          ///< was cached, and not used for too long
  below_threshold,  ///< a block begins alike, with less than prefix_match_threshold of its tokens
  no_room,          ///< a block begins alike, and the whole pool has no other to copy it into
  bypassed,         ///< not looked for: the cache is off, or the request wants every token of its prompt scored
};

/// Why a cached block was given up.
enum class EvictionReason : std::uint8_t {
  demand,   ///< others needed room
  expired,  ///< not used for too long
  flush,    ///< somebody asked for it
  quota,    ///< its tenant had too many
};

inline constexpr std::array<std::string_view, 3> kCacheSourceNames = {"none", "memory", "disk"};
inline constexpr std::array<std::string_view, 7> kCacheMissNames = {
    "none", "never_seen", "evicted", "expired", "below_threshold", "no_room", "bypassed"};
inline constexpr std::array<std::string_view, 4> kEvictionReasonNames = {"demand", "expired", "flush", "quota"};

constexpr std::string_view name_of(CacheSource source) { return kCacheSourceNames[static_cast<std::size_t>(source)]; }
constexpr std::string_view name_of(CacheMiss miss) { return kCacheMissNames[static_cast<std::size_t>(miss)]; }
constexpr std::string_view name_of(EvictionReason reason) {
  return kEvictionReasonNames[static_cast<std::size_t>(reason)];
}

/// More of what a prompt found in the prefix cache than how many tokens.
struct CacheDetails {
  std::uint32_t copied_tokens = 0;  ///< of those found, in a block that agreed in part
  CacheSource source = CacheSource::none;
  CacheMiss miss = CacheMiss::none;  ///< why what comes first of the rest was not found
  /// Not found, though it could have been: all but the last token, which is always computed for its logits.
  std::uint32_t missed_tokens = 0;

  bool operator==(const CacheDetails&) const = default;
};

/// What a cache of some size would have hit of what was asked for lately.
struct CacheSize {
  double factor = 1;  ///< of the present size
  std::uint64_t capacity_blocks = 0;
  std::uint64_t bytes = 0;
  double hit_rate = 0;  ///< of whole blocks of prompts, 0 … 1
};

/// What more or less memory would bring.
struct CacheAdvice {
  std::uint64_t looked_up_blocks = 0;  ///< that this goes by: the latest; earlier ones fade
  std::vector<CacheSize> sizes;        ///< smallest first
  std::string advice;                  ///< a sentence for a person
};

}  // namespace headwater
