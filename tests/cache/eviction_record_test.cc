#include "cache/eviction_record.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

TEST(EvictionRecord, TellsWhatWasEvictedFromWhatWasNeverSeen) {
  EvictionRecord record(8);
  record.on_evicted(1, EvictionReason::demand);
  record.on_evicted(2, EvictionReason::expired);
  record.on_evicted(3, EvictionReason::flush);
  record.on_evicted(4, EvictionReason::quota);
  EXPECT_EQ(record.why_missing(1), CacheMiss::evicted);
  EXPECT_EQ(record.why_missing(2), CacheMiss::expired);
  EXPECT_EQ(record.why_missing(3), CacheMiss::evicted);
  EXPECT_EQ(record.why_missing(4), CacheMiss::evicted);
  EXPECT_EQ(record.why_missing(5), CacheMiss::never_seen);
}

TEST(EvictionRecord, RemembersTheLatestReasonOfABlockThatReturned) {
  EvictionRecord record(8);
  record.on_evicted(1, EvictionReason::expired);
  record.on_returned(1);
  EXPECT_EQ(record.why_missing(1), CacheMiss::never_seen);
  record.on_evicted(1, EvictionReason::demand);
  EXPECT_EQ(record.why_missing(1), CacheMiss::evicted);
}

TEST(EvictionRecord, RemembersOnlyTheLatestBlocks) {
  EvictionRecord record(8);
  for (std::uint64_t key = 0; key <= EvictionRecord::kLeast; ++key) record.on_evicted(key, EvictionReason::demand);
  EXPECT_EQ(record.why_missing(0), CacheMiss::never_seen);
  EXPECT_EQ(record.why_missing(1), CacheMiss::evicted);
  EvictionRecord large(UINT32_MAX);
  for (std::uint64_t key = 0; key <= EvictionRecord::kMost; ++key) large.on_evicted(key, EvictionReason::demand);
  EXPECT_EQ(large.why_missing(0), CacheMiss::never_seen);
  EXPECT_EQ(large.why_missing(1), CacheMiss::evicted);
}

TEST(EvictionRecord, CountsByReasonAndKeepsTheCountsWhenItForgets) {
  EvictionRecord record(8);
  record.on_evicted(1, EvictionReason::quota);
  record.count(EvictionReason::quota);
  record.on_evicted(2, EvictionReason::demand);
  record.forget_blocks();
  EXPECT_EQ(record.counts(), (EvictionCounts{1, 0, 0, 2}));
  EXPECT_EQ(record.why_missing(1), CacheMiss::never_seen);
}

}  // namespace
}  // namespace headwater::cache
