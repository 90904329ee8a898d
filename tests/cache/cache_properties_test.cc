// PrefixCache and Evictor through thousands of random interleavings, held against rules that a plain model of what has
// happened states. Touches reach the evictor late, as they do between actors.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "cache/eviction.h"
#include "cache/prefix_cache.h"
#include "tests/support/sample.h"

namespace headwater::cache {
namespace {

constexpr std::uint32_t kBlocks = 24, kMaxPinned = 8, kQuota = 6;
constexpr TimeNs kTtl = 60;
constexpr const char* kTenants[] = {"", "alice", "bob"};

/// An indexed block, as the touches so far tell of it.
struct Indexed {
  BlockId parent = -1;
  TenantId tenant = 0;
  std::uint8_t priority = 0;
  bool idle = false, pinned = false;
};
using Picture = std::map<BlockId, Indexed>;

void apply(Picture& picture, const Touch& touch) {
  switch (touch.kind) {
    case Touch::Kind::published:
      picture[touch.block] = {touch.parent, touch.tenant, touch.priority, false, false};
      break;
    case Touch::Kind::forgotten:
      picture.erase(touch.block);
      break;
    case Touch::Kind::raised:
      picture.at(touch.block).priority = touch.priority;
      break;
    case Touch::Kind::idle:
    case Touch::Kind::busy:
      picture.at(touch.block).idle = touch.kind == Touch::Kind::idle;
      break;
    case Touch::Kind::pinned:
    case Touch::Kind::unpinned:
      picture.at(touch.block).pinned = touch.kind == Touch::Kind::pinned;
      break;
  }
}

bool has_child(const Picture& picture, BlockId block) {
  return std::ranges::any_of(picture, [&](const auto& one) { return one.second.parent == block; });
}

struct Running {
  Keep keep;
  std::vector<TokenId> tokens;
  std::vector<BlockId> blocks;
  std::uint32_t published = 0;  ///< blocks
  BlockId copied = -1;
};

/// What the requests that used a block have left in it.
struct Content {
  std::string tenant;
  std::vector<TokenId> tokens;  ///< from the first of the text to at least the last of the block
  TimeNs ttl = 0, idle_since = 0;
};

class World {
 public:
  World(std::uint64_t seed, const std::string& policy)
      : random_(seed),
        grid_(2, seed % 2),
        cache_({.total_blocks = kBlocks,
                .grid = grid_,
                .match_threshold = 0,
                .context = {},
                .retention = {.ttl = kTtl, .max_pinned = kMaxPinned, .tenant_quota = kQuota}}),
        evictor_(make_policy(policy, kBlocks).value(), kBlocks, kQuota) {}

  void step() {
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
        return begin();
      case 3:
      case 4:
        return grow();
      case 5:
      case 6:
        return end();
      case 7:
        now_ += static_cast<TimeNs>(random_() % 20);
        return cache_.advance(now_);
      case 8:
        return by_operator();
      default:
        return hear();
    }
  }

  /// Takes note of what has changed, and checks what must hold at any time.
  void check() {
    const auto touches = cache_.take_touches();
    for (const Touch& touch : touches) {
      if (touch.kind == Touch::Kind::forgotten) check_forgotten(touch.block);
      if (touch.kind == Touch::Kind::idle) contents_[touch.block].idle_since = now_;
      apply(picture_, touch);
    }
    unheard_.insert(unheard_.end(), touches.begin(), touches.end());
    ASSERT_EQ(cache_.check(), "");
    const BlockCounts counts = cache_.counts();
    ASSERT_EQ(counts.free + counts.active + counts.cached, kBlocks);
    std::map<TenantId, std::uint32_t> pinned;
    for (const auto& [block, known] : picture_) pinned[known.tenant] += known.pinned ? 1 : 0;
    std::uint32_t all = 0;
    for (const auto& [tenant, n] : pinned) {
      ASSERT_LE(n, kQuota);
      all += n;
    }
    ASSERT_LE(all, kMaxPinned);
    ASSERT_EQ(cache_.status().pinned, all);
    for (const auto& [id, one] : running_) {
      for (const BlockId block : one.blocks) ASSERT_FALSE(picture_.contains(block) && picture_.at(block).idle);
    }
    for (const auto& [session, promise] : promises_) {
      if (promise.until <= now_) continue;
      for (const BlockId block : promise.blocks) ASSERT_TRUE(picture_.contains(block) && picture_.at(block).pinned);
      ++promises_kept_;
    }
  }

  void finish() {
    while (!running_.empty()) {
      end();
      check();
    }
    ASSERT_EQ(cache_.counts().active, 0U);
  }

  std::uint64_t evictions() const { return gone(EvictionReason::demand) + gone(EvictionReason::quota); }
  std::uint64_t expirations() const { return gone(EvictionReason::expired); }
  std::uint64_t hits() const { return hits_; }
  std::uint64_t over_quota() const { return over_quota_; }
  std::uint64_t promises_kept() const { return promises_kept_; }

 private:
  std::uint64_t gone(EvictionReason reason) const { return cache_.evictions()[static_cast<std::size_t>(reason)]; }

  Keep random_keep(const std::string& tenant) {
    Keep keep;
    keep.tenant = tenant;
    keep.priority = static_cast<std::uint8_t>(random_() % 3 * 40);
    if (random_() % 3 == 0) keep.ttl = static_cast<TimeNs>(random_() % 150);
    if (random_() % 4 == 0) keep.pin = 1 + static_cast<TimeNs>(random_() % 100);
    if (random_() % 2 == 0) keep.session = random_() % 2 == 0 ? "chat" : "talk";
    return keep;
  }

  void begin() {
    Running one;
    one.keep = random_keep(kTenants[random_() % 3]);
    one.tokens.resize(1 + random_() % 12);
    for (TokenId& token : one.tokens) token = static_cast<TokenId>(random_() % 2);
    cache_.advance(now_);
    const MatchResult found = cache_.match(next_id_, one.tokens, "", true, one.keep);
    one.blocks = found.blocks;
    hits_ += found.cached_tokens;
    ASSERT_LT(found.cached_tokens, one.tokens.size());
    for (std::uint32_t i = 0; i < found.blocks.size(); ++i) {
      check_found(found.blocks[i], one, std::min(grid_.end(i), found.cached_tokens));
    }
    if (grid_.slot(found.cached_tokens) != 0) {
      one.copied = one.blocks.back();
      one.blocks.pop_back();
    }
    one.published = static_cast<std::uint32_t>(one.blocks.size());
    running_[next_id_++] = std::move(one);
  }

  /// A block that is said to hold the request's tokens up to `end`.
  void check_found(BlockId block, const Running& one, std::size_t end) {
    Content& content = contents_.at(block);
    ASSERT_EQ(content.tenant, one.keep.tenant) << "a block of another tenant";
    ASSERT_TRUE(std::ranges::equal(std::span(one.tokens).first(end), std::span(content.tokens).first(end)));
    const Indexed& known = picture_.at(block);
    ASSERT_TRUE(!known.idle || known.pinned || content.idle_since + content.ttl > now_) << "its time was over";
    content.ttl = std::max(content.ttl, one.keep.ttl.value_or(kTtl));
  }

  Running* pick(RequestId& id) {
    if (running_.empty()) return nullptr;
    const auto found = std::next(running_.begin(), static_cast<std::ptrdiff_t>(random_() % running_.size()));
    id = found->first;
    return &found->second;
  }

  void grow() {
    RequestId id = 0;
    Running* one = pick(id);
    if (one == nullptr) return;
    const auto tokens = static_cast<std::uint32_t>(one->tokens.size());
    const std::uint32_t want = grid_.covering(tokens);
    if (one->blocks.size() >= want) return;
    const auto n = static_cast<std::uint32_t>(want - one->blocks.size());
    const auto victims = evictor_.victims(n);
    if (unheard_.empty()) check_choice(victims);
    const auto granted = cache_.reclaim(n, victims);
    for (const BlockId block : granted) {
      one->blocks.push_back(block);
      contents_[block] = {one->keep.tenant, one->tokens, one->keep.ttl.value_or(kTtl), 0};
    }
    if (one->copied >= 0 && !granted.empty()) {
      cache_.release_copied(std::vector<BlockId>{std::exchange(one->copied, -1)});
    }
    const std::uint32_t whole = std::min(static_cast<std::uint32_t>(one->blocks.size()), grid_.whole(tokens));
    if (whole <= one->published) return;
    const std::uint32_t first = grid_.begin(one->published);
    cache_.publish(id, std::span(one->blocks).subspan(one->published, whole - one->published),
                   std::span(one->tokens).subspan(first, grid_.begin(whole) - first));
    one->published = whole;
  }

  /// A request ends, or is cancelled, with what it has computed.
  void end() {
    RequestId id = 0;
    Running* one = pick(id);
    if (one == nullptr) return;
    if (one->copied >= 0) cache_.release_copied(std::vector<BlockId>{one->copied});
    std::span<const TokenId> tail;
    // A first block of one token is full with it.
    if (one->blocks.size() > one->published && grid_.size(one->published) > 1 && random_() % 3 > 0) {
      tail = std::span(one->tokens).subspan(grid_.begin(one->published)).first(1);
    }
    cache_.release(id, one->blocks, tail);
    const Running ended = std::move(*one);
    running_.erase(id);
    const bool pins = ended.keep.pin > 0 && !ended.keep.session.empty();
    if (pins) promises_.erase({ended.keep.tenant, ended.keep.session});
    check();
    if (pins) note_promise(ended);
  }

  /// The blocks of a session that are all pinned now stay so for its time, or until it goes on.
  void note_promise(const Running& one) {
    const std::vector<BlockId> blocks(one.blocks.begin(), one.blocks.begin() + one.published);
    const bool whole = std::ranges::all_of(
        blocks, [&](BlockId block) { return picture_.contains(block) && picture_.at(block).pinned; });
    if (whole) promises_[{one.keep.tenant, one.keep.session}] = {blocks, now_ + one.keep.pin};
  }

  void by_operator() {
    std::vector<TokenId> tokens(1 + random_() % 12);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random_() % 2);
    const CacheOwner owner{tenant_digest(kTenants[random_() % 3]), ""};
    const auto choice = random_() % 8;
    if (choice == 0) cache_.flush(owner.tenant);
    if (choice == 0) end_session(kTenants[random_() % 3], random_() % 2 == 0 ? "chat" : "talk");
    if (choice >= 1 && choice < 5) cache_.unpin(tokens, owner);
    if (choice >= 5) cache_.pin(tokens, owner, random_() % 2 == 0 ? kNever : now_ + 50);
  }

  void end_session(const std::string& tenant, const std::string& session) {
    cache_.end_session(tenant, session);
    promises_.erase({tenant, session});
    for (auto& [id, one] : running_) {
      if (one.keep.tenant == tenant && one.keep.session == session) one.keep.pin = 0;
    }
  }

  /// The evictor hears some of what it has not heard yet.
  void hear() {
    const std::size_t n = random_() % 2 == 0 ? unheard_.size() : random_() % (unheard_.size() + 1);
    evictor_.on_touches(std::span(unheard_).first(n), now_);
    unheard_.erase(unheard_.begin(), unheard_.begin() + static_cast<std::ptrdiff_t>(n));
  }

  void check_forgotten(BlockId block) {
    const Indexed& known = picture_.at(block);
    ASSERT_TRUE(known.idle) << "a block in use was given up";
    ASSERT_FALSE(known.pinned) << "a pinned block was given up";
    ASSERT_FALSE(has_child(picture_, block)) << "a block was given up before one that follows it";
  }

  /// Holds the order of the evictor, who knows everything now, against the rules.
  void check_choice(const std::vector<BlockId>& victims) {
    Picture left = picture_;
    for (const BlockId victim : victims) {
      std::map<TenantId, std::uint32_t> idle;
      for (const auto& [block, known] : left) idle[known.tenant] += known.idle ? 1 : 0;
      const auto may_go = [&](const auto& one) {
        return one.second.idle && !one.second.pinned && !has_child(left, one.first);
      };
      const auto is_over = [&](const auto& one) { return may_go(one) && idle[one.second.tenant] > kQuota; };
      const bool some_over = std::ranges::any_of(left, is_over);
      const Indexed chosen = left.at(victim);
      ASSERT_TRUE(may_go(std::pair(victim, chosen)));
      ASSERT_TRUE(!some_over || idle[chosen.tenant] > kQuota) << "a tenant within its quota lost a block";
      over_quota_ += some_over ? 1 : 0;
      for (const auto& one : left) {
        if (!may_go(one) || (some_over && one.second.tenant != chosen.tenant)) continue;
        ASSERT_LE(chosen.priority, one.second.priority) << "a block of higher priority went first";
      }
      left.erase(victim);
    }
  }

  std::mt19937_64 random_;
  kernels::BlockGrid grid_;  ///< of two tokens; in every other world the first holds one
  PrefixCache cache_;
  Evictor evictor_;
  TimeNs now_ = 0;
  RequestId next_id_ = 1;
  std::map<RequestId, Running> running_;
  std::map<BlockId, Content> contents_;
  Picture picture_;
  std::vector<Touch> unheard_;
  struct Promise {
    std::vector<BlockId> blocks;
    TimeNs until = 0;
  };
  std::map<std::pair<std::string, std::string>, Promise> promises_;
  std::uint64_t hits_ = 0, over_quota_ = 0, promises_kept_ = 0;
};

class CacheProperties : public testing::TestWithParam<const char*> {};

TEST_P(CacheProperties, HoldThroughRandomInterleavings) {
  std::uint64_t evictions = 0, expirations = 0, hits = 0, over_quota = 0, promises_kept = 0;
  for (std::uint64_t seed = 1; seed <= test::sampled(6U, 24U); ++seed) {
    World world(seed, GetParam());
    for (int i = 0; i < 1'000 && !HasFatalFailure(); ++i) {
      world.step();
      world.check();
    }
    world.finish();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    evictions += world.evictions();
    expirations += world.expirations();
    hits += world.hits();
    over_quota += world.over_quota();
    promises_kept += world.promises_kept();
  }
  // All of it has happened.
  EXPECT_GT(evictions, test::sampled(25U, 100U));
  EXPECT_GT(expirations, test::sampled(25U, 100U));
  EXPECT_GT(hits, test::sampled(250U, 1'000U));
  EXPECT_GT(over_quota, test::sampled(2U, 20U));
  EXPECT_GT(promises_kept, test::sampled(25U, 100U));
}

INSTANTIATE_TEST_SUITE_P(Policies, CacheProperties, testing::Values("lru", "fifo", "lfu", "adaptive"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace headwater::cache
