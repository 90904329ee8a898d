#pragma once
// Blocks for the tests of the cache tier.

#include <random>

#include "cache/tier/record.h"
#include "cache/tier_block.h"

namespace headwater::cache {

/// A block that follows from `seed`, after another.
inline TierBlock block_of(unsigned seed, const Key& parent = {}, std::size_t bytes = 1000) {
  std::mt19937 random(seed);
  TierBlock block;
  for (int i = 0; i < 8; ++i) block.name.tokens.push_back(static_cast<TokenId>(random() % 1000));
  block.name.parent = parent;
  block.name.key = block_key(parent, block.name.tokens);
  auto buffer = std::make_shared<ByteBuffer>(bytes);
  for (std::byte& byte : buffer->bytes()) byte = static_cast<std::byte>(random());
  block.bytes = std::move(buffer);
  return block;
}

/// `n` blocks, each after the one before it.
inline std::vector<TierBlock> chain_of(unsigned seed, unsigned n, std::size_t bytes = 1000) {
  std::vector<TierBlock> chain;
  for (unsigned i = 0; i < n; ++i) {
    chain.push_back(block_of(seed * 1000 + i, i == 0 ? Key{} : chain.back().name.key, bytes));
  }
  return chain;
}

inline std::vector<BlockName> names_of(const std::vector<TierBlock>& blocks) {
  std::vector<BlockName> names;
  for (const TierBlock& block : blocks) names.push_back(block.name);
  return names;
}

inline std::vector<std::byte> record_of(const TierBlock& block) {
  std::vector<std::byte> record = record_head(block.name, block.bytes->bytes());
  const auto bytes = std::as_const(*block.bytes).bytes();
  record.insert(record.end(), bytes.begin(), bytes.end());
  return record;
}

}  // namespace headwater::cache
