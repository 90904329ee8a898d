#pragma once
// What requests and operators may ask of the prefix cache, and what it tells them.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headwater {

/// Of a request that says nothing. Where memory is short, blocks of a lower priority go first.
inline constexpr std::uint8_t kNormalPriority = 50;
inline constexpr std::uint8_t kHighestPriority = 100;

/// How a request wants the blocks kept that it uses. Of a shared block, the most that one of its users wants counts.
struct CacheControl {
  std::uint8_t priority = kNormalPriority;  ///< 0 … max_priority of the topology
  std::optional<std::uint64_t> ttl_ms;      ///< since the last use, at most max_ttl; none: cache_ttl
  bool pin = false;                         ///< not given up for ttl (none: max_ttl) from the request's end on
};

/// Under what name a prompt's blocks are kept.
struct CacheOwner {
  std::string tenant;  ///< as CacheStatus shows it; empty: the one without a name
  std::string salt;    ///< Request::cache_salt
};

/// What became of a call to pin or unpin a prompt.
struct CachePins {
  std::uint64_t blocks =
      0;  ///< of the prompt that are cached: whole ones from its first on, and one that agrees in part
  std::uint64_t tokens = 0;   ///< of the prompt, in those blocks
  std::uint64_t pinned = 0;   ///< of those blocks, after the call
  std::uint64_t changed = 0;  ///< blocks that the call pinned or unpinned
};

/// What a slower tier holds.
struct TierHoldings {
  struct Tenant {
    std::string tenant;  ///< as in CacheStatus
    std::uint64_t blocks = 0;
  };
  std::uint64_t blocks = 0, bytes = 0;
  std::vector<Tenant> tenants;  ///< those with the most blocks, at most kMostTenantsShown
  std::uint64_t tenants_total = 0;
};

/// What the prefix cache holds. "Cached" blocks are used by no request; "indexed" are those and the ones in use.
struct CacheStatus {
  struct Tenant {
    std::string tenant;                                ///< a short digest of its name; empty: the one without a name
    std::uint64_t blocks = 0, cached = 0, pinned = 0;  ///< indexed; of them, cached; of them, pinned
    std::uint64_t tokens = 0;                          ///< in indexed blocks
    std::uint64_t query_tokens = 0, hit_tokens = 0;    ///< looked up, and found, since it has held blocks
  };
  struct Age {
    std::uint64_t up_to_ms = 0;  ///< since the last use; 0: without a bound
    std::uint64_t blocks = 0;    ///< cached, and older than the bucket before
  };
  struct Priority {
    std::uint8_t priority = 0;
    std::uint64_t blocks = 0;  ///< indexed
  };

  std::uint32_t block_tokens = 0;
  std::uint64_t total = 0, free = 0, active = 0, cached = 0;  ///< blocks; free + active + cached == total
  std::uint64_t pinned = 0, max_pinned = 0;                   ///< blocks, in use or not
  std::uint64_t tenant_quota = 0;                             ///< cached blocks; total: there is none
  std::uint64_t tokens = 0;                                   ///< in indexed blocks
  std::vector<Tenant> tenants;                                ///< those with the most blocks, at most kMostTenantsShown
  std::uint64_t tenants_total = 0;
  std::vector<Age> ages;
  std::vector<Priority> priorities;  ///< lowest first; those that occur
  std::optional<TierHoldings> tier;  ///< where the topology has one
};

/// What a flush has given up.
struct CacheFlush {
  std::uint64_t blocks = 0;                    ///< of memory
  std::optional<std::uint64_t> tier_blocks{};  ///< of the tier, where the topology has one
  bool tier_pending = false;  ///< the tier cannot be reached: it gives up its blocks before it is used again
};

inline constexpr std::size_t kMostTenantsShown = 100;

}  // namespace headwater
