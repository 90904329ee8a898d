#pragma once
// XXH64: tells accidents on a disk from what was written. Source: Yann Collet, "xxHash fast digest algorithm", XXH64.

#include <cstddef>
#include <cstdint>
#include <span>

namespace headwater::cache {

std::uint64_t xxh64(std::span<const std::byte> data, std::uint64_t seed = 0);

}  // namespace headwater::cache
