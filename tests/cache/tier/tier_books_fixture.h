#pragma once
// Books of a tier that is open, and what becomes of saves and loads.

#include <gtest/gtest.h>

#include "cache/tier/tier_books.h"
#include "tests/cache/tier/blocks.h"

namespace headwater::cache {

class TierBooksTest : public testing::Test {
 protected:
  static constexpr TimeNs kSecond = 1'000'000'000;
  static constexpr std::uint32_t kDeep = 40;  ///< blocks of 8 tokens: costly

  TierBooksTest() { books_.on_open({}, now_); }

  CachedBlock cached(const TierBlock& block, std::uint32_t depth, bool matched = false) {
    return {1, block.name.key, block.name.parent, block.name.tokens, depth, matched, block.terms};
  }
  void saved(const TierBlock& block, std::vector<Key> dropped = {}) {
    SaveOutcome outcome;
    outcome.key = block.name.key;
    outcome.dropped = std::move(dropped);
    books_.on_saved(outcome, now_);
  }
  void save_fails(const TierBlock& block) {
    SaveOutcome outcome;
    outcome.key = block.name.key;
    outcome.error = "no space left on device";
    books_.on_saved(outcome, now_);
  }
  static LoadOutcome loaded(std::size_t blocks, TimeNs duration = 1000) {
    LoadOutcome outcome;
    outcome.blocks.resize(blocks);
    outcome.duration = duration;
    return outcome;
  }
  static OpenOutcome open_fails() {
    OpenOutcome outcome;
    outcome.error = "no such device";
    return outcome;
  }

  TierBlock of_tenant(const char* tenant, unsigned seed, TimeNs expires = kNever) {
    TierBlock block = block_of(seed);
    block.terms = {tenant_mark(tenant), expires};
    return block;
  }
  void keep(const TierBlock& block) {
    ASSERT_TRUE(books_.takes_save(cached(block, kDeep)));
    saved(block);
  }

  TimeNs now_ = kSecond;
  TierBooks books_{{.grid = 8, .block_bytes = 1000, .max_saves = 4, .max_staged = 10}};
};

}  // namespace headwater::cache
