#pragma once
// How a block is written down in a store: a head that says what it is, then the block's bytes.
//
//   magic "HWKV" | version u32 | checksum u64 | tokens u32 | zero u32 | bytes u64 | key [32] | parent [32] |
//   token ids i32 [tokens] | the block's bytes
//
// Numbers are little endian. The checksum covers all that follows it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/tier_block.h"
#include "headwater/result.h"

namespace headwater::cache {

inline constexpr std::uint32_t kRecordVersion = 1;

/// What stands before the block's bytes.
std::vector<std::byte> record_head(const BlockName& name, std::span<const std::byte> bytes);

/// The block's bytes within a record, if it is whole and is that of this very block, of `block_bytes`. Error: what does
/// not agree.
Result<std::span<const std::byte>> check_record(std::span<const std::byte> record, const BlockName& name,
                                                std::uint64_t block_bytes);

}  // namespace headwater::cache
