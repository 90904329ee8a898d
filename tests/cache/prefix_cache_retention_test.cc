// How long PrefixCache keeps what it has: ttl, priority, pins, sessions, and what an operator asks for.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "cache/prefix_cache.h"

namespace headwater::cache {
namespace {

using Blocks = std::vector<BlockId>;
using Kind = Touch::Kind;

PrefixCacheOptions options(RetentionOptions retention) {
  return {.total_blocks = 16, .grid = 4, .enabled = true, .match_threshold = 0, .context = {}, .retention = retention};
}

std::vector<TokenId> counting(std::size_t n, TokenId first = 0) {
  std::vector<TokenId> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// A whole request: all whole blocks of `tokens` and the tail behind them. Gives its blocks.
Blocks serve(PrefixCache& cache, RequestId id, const std::vector<TokenId>& tokens, const Keep& keep = {}) {
  MatchResult found = cache.match(id, tokens, "", true, keep);
  Blocks blocks = found.blocks;
  if (found.cached_tokens % 4 != 0) {
    cache.release_copied(Blocks{blocks.back()});
    blocks.pop_back();
  }
  const std::size_t known = blocks.size(), full = tokens.size() / 4;
  const auto granted = cache.reclaim(static_cast<std::uint32_t>((tokens.size() + 3) / 4 - known), {});
  blocks.insert(blocks.end(), granted.begin(), granted.end());
  cache.publish(id, std::span(blocks).subspan(known, full - known),
                std::span(tokens).subspan(known * 4, (full - known) * 4));
  cache.release(id, blocks, std::span(tokens).subspan(full * 4));
  return blocks;
}

/// Tokens of the prompt that a request would find now.
std::uint32_t found(PrefixCache& cache, const std::vector<TokenId>& tokens, const std::string& tenant = "") {
  Keep keep;
  keep.tenant = tenant;
  keep.priority = 0;
  keep.ttl = 0;
  const MatchResult result = cache.match(999, tokens, "", true, keep);
  cache.release(999, result.blocks);
  return result.cached_tokens;
}

Keep pinning(TimeNs time, const std::string& session = "") {
  Keep keep;
  keep.pin = time;
  keep.session = session;
  return keep;
}

std::vector<Kind> kinds(PrefixCache& cache) {
  std::vector<Kind> kinds;
  for (const Touch& touch : cache.take_touches()) kinds.push_back(touch.kind);
  return kinds;
}

TEST(PrefixCacheRetention, MatchesNothingWhoseTimeIsOverAndFreesIt) {
  PrefixCache cache(options({.ttl = 100}));
  cache.advance(10);
  const Blocks blocks = serve(cache, 1, counting(10));
  cache.take_touches();
  EXPECT_EQ(cache.next_expiry(), 110);
  cache.advance(109);
  EXPECT_EQ(cache.counts().cached, 3U);
  cache.advance(110);
  EXPECT_EQ(cache.counts().free, 16U);
  EXPECT_EQ(cache.evictions(), (EvictionCounts{0, 3, 0, 0}));
  EXPECT_EQ(kinds(cache), std::vector<Kind>(3, Kind::forgotten));
  EXPECT_EQ(found(cache, counting(10)), 0U);
  EXPECT_EQ(cache.check(), "");
}

TEST(PrefixCacheRetention, CountsTheTimeFromTheLastUse) {
  PrefixCache cache(options({.ttl = 100}));
  cache.advance(0);
  serve(cache, 1, counting(12));
  cache.advance(60);
  EXPECT_EQ(found(cache, counting(9)), 8U);
  cache.advance(100);
  EXPECT_EQ(found(cache, counting(13)), 8U) << "the third block has not been used since";
  cache.advance(199);
  EXPECT_EQ(cache.counts().cached, 2U);
}

TEST(PrefixCacheRetention, KeepsWhatIsInUse) {
  PrefixCache cache(options({.ttl = 100}));
  serve(cache, 1, counting(8));
  const MatchResult held = cache.match(2, counting(9), "", true);
  cache.advance(1'000);
  EXPECT_EQ(cache.counts().active, 2U);
  cache.release(2, held.blocks);
  cache.advance(1'099);
  EXPECT_EQ(found(cache, counting(9)), 8U);
}

TEST(PrefixCacheRetention, GivesARequestsBlocksItsTimeAndPriority) {
  PrefixCache cache(options({.ttl = 100}));
  Keep keep;
  keep.ttl = 1'000;
  keep.priority = 80;
  serve(cache, 1, counting(8));
  serve(cache, 2, counting(6), keep);
  const auto touches = cache.take_touches();
  const auto raised = std::ranges::find(touches, Kind::raised, &Touch::kind);
  ASSERT_NE(raised, touches.end());
  EXPECT_EQ(raised->priority, 80);
  cache.advance(100);
  EXPECT_EQ(found(cache, counting(9)), 8U) << "the second block was read in part";
  cache.advance(1'099);
  EXPECT_EQ(cache.counts().cached, 2U);
  cache.advance(1'100);
  EXPECT_EQ(cache.counts().cached, 0U);
}

TEST(PrefixCacheRetention, EvictsNoPinnedBlockWhoeverNamesIt) {
  PrefixCache cache(options({.max_pinned = 2}));
  const Blocks blocks = serve(cache, 1, counting(12), pinning(500));
  EXPECT_EQ(cache.status().pinned, 2U) << "of three, as many as may be";
  EXPECT_EQ(cache.reclaim(16, Blocks{blocks[2], blocks[1], blocks[0]}).size(), 14U);
  EXPECT_EQ(cache.counts().cached, 2U);
  cache.advance(500);
  EXPECT_EQ(cache.reclaim(1, Blocks{blocks[1]}), Blocks{blocks[1]});
  EXPECT_EQ(cache.check(), "");
}

TEST(PrefixCacheRetention, MovesASessionsPinWithItsConversation) {
  PrefixCache cache(options({.ttl = 10, .max_pinned = 8}));
  serve(cache, 1, counting(6), pinning(500, "chat"));
  EXPECT_EQ(cache.status().pinned, 2U) << "the tail as well";
  cache.advance(400);
  EXPECT_EQ(found(cache, counting(7)), 6U);
  serve(cache, 2, counting(10), pinning(500, "chat"));
  EXPECT_EQ(cache.status().pinned, 3U);
  cache.advance(899);
  EXPECT_EQ(found(cache, counting(11)), 10U);
  cache.advance(909);
  EXPECT_EQ(cache.counts().cached, 0U);
}

TEST(PrefixCacheRetention, KeepsSessionsOfTenantsApart) {
  PrefixCache cache(options({.max_pinned = 8}));
  Keep alice = pinning(500, "chat"), bob = pinning(500, "chat");
  alice.tenant = "alice";
  bob.tenant = "bob";
  serve(cache, 1, counting(8), alice);
  serve(cache, 2, counting(8), bob);
  EXPECT_EQ(cache.status().pinned, 4U);
  EXPECT_EQ(found(cache, counting(9), "alice"), 8U);
  EXPECT_EQ(found(cache, counting(9), "carol"), 0U);
}

TEST(PrefixCacheRetention, PinsAndUnpinsAPromptForAnOperator) {
  PrefixCache cache(options({.ttl = 100, .max_pinned = 8}));
  serve(cache, 1, counting(12));
  const CachePins pinned = cache.pin(counting(9), {}, kNever);
  EXPECT_EQ(pinned.blocks, 2U);
  EXPECT_EQ(pinned.tokens, 8U);
  EXPECT_EQ(pinned.pinned, 2U);
  EXPECT_EQ(pinned.changed, 2U);
  EXPECT_EQ(cache.pin(counting(9), {}, kNever).changed, 0U);
  cache.advance(1'000'000);
  EXPECT_EQ(cache.counts().cached, 2U);
  const CachePins unpinned = cache.unpin(counting(13), {});
  EXPECT_EQ(unpinned.blocks, 2U);
  EXPECT_EQ(unpinned.pinned, 0U);
  EXPECT_EQ(unpinned.changed, 2U);
  EXPECT_EQ(cache.pin(counting(9), {"no such tenant", ""}, kNever).blocks, 0U);
  EXPECT_EQ(cache.pin(counting(9), {"", "other salt"}, kNever).blocks, 0U);
  EXPECT_EQ(cache.pin({}, {}, kNever).blocks, 0U);
}

TEST(PrefixCacheRetention, UnpinsWhatRequestsThatBeganWithThePromptHavePinned) {
  for (const std::size_t prompt : {3U, 4U, 5U, 8U, 9U, 10U}) {
    PrefixCache cache(options({.max_pinned = 16}));
    serve(cache, 1, counting(14), pinning(kNever));  // the prompt, and its answer
    serve(cache, 2, counting(8, 100), pinning(kNever));
    ASSERT_EQ(cache.status().pinned, 6U);
    EXPECT_EQ(cache.unpin(counting(prompt), {}).changed, 4U) << prompt;
    EXPECT_EQ(cache.status().pinned, 2U) << "another prompt's";
    EXPECT_EQ(cache.check(), "");
  }
}

TEST(PrefixCacheRetention, UnpinsNothingOfAPromptThatOnlyBeginsAlike) {
  PrefixCache cache(options({.max_pinned = 16}));
  serve(cache, 1, counting(14), pinning(kNever));
  std::vector<TokenId> other = counting(9);
  other[6] = 77;
  EXPECT_EQ(cache.unpin(other, {}).changed, 0U);
  other = counting(9);
  other.back() = 77;
  EXPECT_EQ(cache.unpin(other, {}).changed, 0U);
  EXPECT_EQ(cache.unpin(counting(9), {"", "other salt"}).changed, 0U);
  EXPECT_EQ(cache.status().pinned, 4U);
}

TEST(PrefixCacheRetention, LeavesAnOperatorsLongerPinAndSessionsWhereAPromptIsUnpinned) {
  PrefixCache cache(options({.max_pinned = 16}));
  serve(cache, 1, counting(14), pinning(kNever));
  serve(cache, 2, counting(14), pinning(kNever, "chat"));
  EXPECT_EQ(cache.status().pinned, 4U);
  cache.unpin(counting(9), {});
  EXPECT_EQ(cache.status().pinned, 3U) << "the session's: the tail was the first request's alone";
  cache.pin(counting(13), {}, kNever);
  cache.end_session("", "chat");
  cache.unpin(counting(9), {});
  EXPECT_EQ(cache.status().pinned, 3U) << "the operator's, which is longer";
  cache.unpin(counting(13), {});
  EXPECT_EQ(cache.status().pinned, 0U);
}

TEST(PrefixCacheRetention, KeepsARunningRequestFromPinningWhatIsUnpinned) {
  PrefixCache cache(options({.max_pinned = 16}));
  serve(cache, 1, counting(8));
  const MatchResult held = cache.match(2, counting(9), "", true, pinning(kNever));
  cache.unpin(counting(6), {});
  cache.release(2, held.blocks);
  EXPECT_EQ(cache.status().pinned, 0U);
}

TEST(PrefixCacheRetention, FlushesWhatIsCachedAndNotPinned) {
  PrefixCache cache(options({.max_pinned = 8}));
  Keep alice;
  alice.tenant = "alice";
  serve(cache, 1, counting(8));
  serve(cache, 2, counting(8), alice);
  serve(cache, 3, counting(6, 50), alice);
  cache.pin(counting(5), {tenant_digest("alice"), ""}, kNever);
  const MatchResult held = cache.match(4, counting(5), "", true);
  EXPECT_EQ(cache.flush("no such tenant"), 0U);
  EXPECT_EQ(cache.flush(tenant_digest("alice")), 3U);
  EXPECT_EQ(cache.check(), "");
  EXPECT_EQ(cache.flush(std::nullopt), 1U);
  EXPECT_EQ(cache.counts().active, 1U);
  EXPECT_EQ(cache.counts().cached, 1U);
  EXPECT_EQ(cache.check(), "");
  cache.release(4, held.blocks);
}

TEST(PrefixCacheRetention, TellsWhatItHolds) {
  PrefixCache cache(options({.max_pinned = 8, .tenant_quota = 5}));
  Keep alice;
  alice.tenant = "alice";
  alice.priority = 70;
  serve(cache, 1, counting(6));
  cache.advance(5'000'000'000);
  serve(cache, 2, counting(12), alice);
  cache.match(3, counting(13), "", true, alice);
  cache.pin(counting(5), {tenant_digest("alice"), ""}, kNever);
  const CacheStatus status = cache.status();
  EXPECT_EQ(status.total, 16U);
  EXPECT_EQ(status.cached, 2U);
  EXPECT_EQ(status.active, 3U);
  EXPECT_EQ(status.tokens, 18U);
  EXPECT_EQ(status.pinned, 1U);
  EXPECT_EQ(status.max_pinned, 8U);
  EXPECT_EQ(status.tenant_quota, 5U);
  ASSERT_EQ(status.tenants.size(), 2U);
  EXPECT_EQ(status.tenants_total, 2U);
  EXPECT_EQ(status.tenants[0].tenant, tenant_digest("alice"));
  EXPECT_EQ(status.tenants[0].blocks, 3U);
  EXPECT_EQ(status.tenants[0].cached, 0U);
  EXPECT_EQ(status.tenants[0].pinned, 1U);
  EXPECT_EQ(status.tenants[0].tokens, 12U);
  EXPECT_EQ(status.tenants[0].query_tokens, 13U);
  EXPECT_EQ(status.tenants[0].hit_tokens, 12U);
  EXPECT_EQ(status.tenants[1].tenant, "");
  EXPECT_EQ(status.tenants[1].tokens, 6U);
  ASSERT_EQ(status.priorities.size(), 2U);
  EXPECT_EQ(status.priorities[0].priority, kNormalPriority);
  EXPECT_EQ(status.priorities[0].blocks, 2U);
  EXPECT_EQ(status.priorities[1].priority, 70);
  EXPECT_EQ(status.ages[0].blocks, 0U);
  EXPECT_EQ(status.ages[1].up_to_ms, 10'000U);
  EXPECT_EQ(status.ages[1].blocks, 2U);
}

TEST(PrefixCacheRetention, EndsASessionAlsoForARequestThatStillRuns) {
  PrefixCache cache(options({.max_pinned = 16}));
  Keep chat = pinning(kNever, "chat");
  chat.tenant = "alice";
  const MatchResult first = cache.match(1, counting(9), "", true, chat);
  const Blocks blocks = cache.reclaim(3, {});
  cache.publish(1, std::span(blocks).first(2), counting(8));
  cache.release(1, blocks);
  EXPECT_EQ(cache.status().pinned, 2U);
  cache.end_session("bob", "chat");
  cache.end_session("alice", "talk");
  cache.end_session("alice", "");
  EXPECT_EQ(cache.status().pinned, 2U);
  const MatchResult running = cache.match(2, counting(9), "", true, chat);
  cache.take_touches();
  cache.end_session("alice", "chat");
  EXPECT_EQ(cache.status().pinned, 0U);
  EXPECT_EQ(kinds(cache), std::vector<Kind>(2, Kind::unpinned));
  cache.release(2, running.blocks);
  EXPECT_EQ(cache.status().pinned, 0U) << "its end pins nothing any more";
  EXPECT_EQ(cache.check(), "");
}

}  // namespace
}  // namespace headwater::cache
