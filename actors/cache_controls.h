#pragma once
// What the topology allows of the prefix cache, as the cache's own classes and the door want it.

#include "cache/retention.h"
#include "headwater/request.h"
#include "topology/topology.h"

namespace headwater::actors {

/// Whole blocks of a pool of `total`.
std::uint32_t blocks_of(double share, std::uint32_t total);

cache::RetentionOptions retention_options(const topology::CacheSpec& spec, std::uint32_t total_blocks);

/// What the request asks for, held against what the topology allows. Error: names the field.
Result<void> check_cache_control(const Request& request, const topology::CacheSpec& spec);

/// REQUIRES: check_cache_control() has let the request pass.
cache::Keep keep_for(const Request& request, const topology::CacheSpec& spec);

}  // namespace headwater::actors
