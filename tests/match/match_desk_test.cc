#include "match/match_desk.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>

namespace headwater::match {
namespace {

using schedule::RequestPtr;

constexpr std::uint32_t kBlockTokens = 4;
constexpr TimeNs kSecond = 1'000'000'000;

/// A desk of 8 blocks, and what the others would answer it.
/// Blocks of four tokens; in some tests the first of a sequence holds two.
class MatchDeskTest : public testing::TestWithParam<kernels::BlockGrid> {
 protected:
  MatchDeskTest() { advance(); }

  void advance(TimeNs passed = 0) { desk_.advance(now_ += passed, tier_); }

  /// Two whole blocks and one token more.
  static std::vector<TokenId> prompt(TokenId first = 0) {
    std::vector<TokenId> tokens(GetParam().begin(2) + 1);
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }

  RequestPtr request(std::vector<TokenId> tokens, bool scored = false) {
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = next_++;
    request->prompt = std::move(tokens);
    if (scored) request->request.params.prompt_logprobs = 0;
    return request;
  }

  /// The scheduler computes a request that was matched, whose blocks are then nobody's. What the desk says of it.
  MatchOutput compute(const schedule::MatchedSequence& sequence) {
    schedule::CacheChanges changes;
    auto blocks = sequence.blocks;
    desk_.reclaim(static_cast<std::uint32_t>(3 - blocks.size()), {}, false);
    const auto own = desk_.poll().grant->blocks;
    const std::vector<BlockId> filled(own.begin(), own.end() - 1);
    if (!filled.empty()) {
      changes.filled = {{sequence.request->id,
                         filled,
                         {sequence.tokens.begin() + sequence.cached_tokens, sequence.tokens.end() - 1}}};
    }
    blocks.insert(blocks.end(), own.begin(), own.end());
    changes.released = {{sequence.request->id, blocks, {}}};
    desk_.apply(changes, 0);
    EXPECT_EQ(desk_.check(), "");
    return desk_.poll();
  }
  MatchOutput serve(std::vector<TokenId> tokens) {
    desk_.admit(request(std::move(tokens)));
    return compute(desk_.poll().matched.at(0));
  }

  /// The tier opens, and holds the whole blocks of prompt(); memory does not.
  void have_on_tier() {
    tier_ = true;
    advance();
    desk_.on_opened({}, true);
    serve(prompt());
    for (const schedule::BlockSave& save : serve(prompt()).saves) {
      names_.insert(names_.begin(), save.name);  // the last of a chain is offered first
      cache::SaveOutcome saved;
      saved.key = save.name.key;
      desk_.on_saved(saved);
    }
    ASSERT_EQ(names_.size(), 2U);
    std::vector<BlockId> all = reclaimed(6);
    while (desk_.counts().cached > 0) {  // the last of the chain first
      for (BlockId block : reclaimed(2)) all.push_back(block);
    }
    ASSERT_EQ(all.size(), 8U);
    schedule::CacheChanges changes;
    changes.returned = all;
    desk_.apply(changes, 0);
  }

  std::vector<BlockId> reclaimed(std::uint32_t blocks) {
    desk_.reclaim(blocks, std::vector<BlockId>{0, 1, 2, 3, 4, 5, 6, 7}, false);
    return desk_.poll().grant->blocks;
  }

  static MatchDeskOptions options() {
    MatchDeskOptions options;
    options.cache.total_blocks = 8;
    options.cache.grid = options.tier.grid = GetParam();
    options.tier.block_bytes = 100;
    return options;
  }

  bool tier_ = false;
  TimeNs now_ = kSecond;
  RequestId next_ = 1;
  std::vector<cache::BlockName> names_;  ///< on the tier, first block first
  MatchDesk desk_{options()};
};

TEST_P(MatchDeskTest, HandsAPromptOnWithWhatOthersHaveLeftOfIt) {
  desk_.admit(request(prompt()));
  const MatchOutput first = desk_.poll();
  ASSERT_EQ(first.matched.size(), 1U);
  EXPECT_EQ(first.matched[0].cached_tokens, 0U);
  compute(first.matched[0]);
  desk_.admit(request(prompt()));
  const MatchOutput second = desk_.poll();
  EXPECT_EQ(second.matched.at(0).cached_tokens, GetParam().begin(2));
  EXPECT_EQ(second.matched.at(0).tokens, prompt());
}

TEST_P(MatchDeskTest, LooksForNothingWhereEveryRowOfThePromptIsWanted) {
  serve(prompt());
  desk_.admit(request(prompt(), true));
  EXPECT_EQ(desk_.poll().matched.at(0).cached_tokens, 0U);
}

TEST_P(MatchDeskTest, TellsWhatHappenedToBlocksBeforeTheGrantThatFollows) {
  desk_.admit(request(prompt()));
  const auto sequence = desk_.poll().matched.at(0);
  const MatchOutput ended = compute(sequence);
  ASSERT_FALSE(ended.touches.empty());
  EXPECT_EQ(ended.touches.back().kind, cache::Touch::Kind::idle);
  EXPECT_FALSE(ended.grant.has_value());
  EXPECT_TRUE(desk_.poll().touches.empty());  // told once
}

TEST_P(MatchDeskTest, HasVictimsChosenAnewWhereTheyWereChosenTooEarly) {
  desk_.reclaim(5, {}, false);
  desk_.poll();
  serve(prompt());  // in the other three, of which two are cached then
  desk_.reclaim(1, {}, false);
  desk_.poll();
  desk_.reclaim(2, {}, false);
  const MatchOutput early = desk_.poll();
  EXPECT_FALSE(early.grant.has_value());
  EXPECT_EQ(early.demand, 2U);
  desk_.reclaim(2, {}, true);
  const MatchOutput again = desk_.poll();
  ASSERT_TRUE(again.grant.has_value());
  EXPECT_TRUE(again.grant->blocks.empty());
  EXPECT_EQ(again.grant->asked, 2U);
  EXPECT_EQ(again.demand, 0U);
}

TEST_P(MatchDeskTest, SavesBlocksThatWereMatchedWhenNobodyUsesThemAnyMore) {
  tier_ = true;
  advance();
  desk_.on_opened({}, true);
  EXPECT_TRUE(serve(prompt()).saves.empty());
  EXPECT_EQ(serve(prompt()).saves.size(), 2U);
  EXPECT_TRUE(serve(prompt()).saves.empty());  // they are there
}

TEST_P(MatchDeskTest, HasAPromptWaitForWhatTheTierHasAndTakeItAlong) {
  have_on_tier();
  desk_.admit(request(prompt()));
  const MatchOutput asked = desk_.poll();
  EXPECT_TRUE(asked.matched.empty());
  ASSERT_EQ(asked.loads.size(), 1U);
  EXPECT_TRUE(asked.loads[0].chain == names_);
  EXPECT_GT(asked.loads[0].wait_until, now_);

  cache::LoadOutcome loaded;
  loaded.blocks.resize(2);
  desk_.on_loaded(asked.loads[0].number, loaded);
  const MatchOutput done = desk_.poll();
  ASSERT_EQ(done.matched.size(), 1U);
  EXPECT_EQ(done.matched[0].restored.size(), 2U);
  EXPECT_EQ(done.matched[0].details.source, CacheSource::disk);
  EXPECT_EQ(done.matched[0].details.missed_tokens, 0U);
  EXPECT_EQ(desk_.tier_stats().hit_tokens, GetParam().begin(2));
  desk_.on_late(asked.loads[0].number);  // its time is over now
  EXPECT_TRUE(desk_.poll().matched.empty());
}

TEST_P(MatchDeskTest, LetsAPromptGoOnWithoutWhatComesTooLate) {
  have_on_tier();
  desk_.admit(request(prompt()));
  const MatchOutput asked = desk_.poll();
  ASSERT_EQ(asked.loads.size(), 1U);
  advance(kSecond);
  desk_.on_late(asked.loads[0].number);
  const MatchOutput late = desk_.poll();
  ASSERT_EQ(late.matched.size(), 1U);
  EXPECT_TRUE(late.matched[0].restored.empty());
  cache::LoadOutcome loaded;
  loaded.blocks.resize(2);
  desk_.on_loaded(asked.loads[0].number, loaded);
  EXPECT_TRUE(desk_.poll().matched.empty());
}

TEST_P(MatchDeskTest, HandsOnACancelledPromptSoThatItsCancelFindsIt) {
  have_on_tier();
  const RequestPtr waiting = request(prompt());
  desk_.admit(waiting);
  desk_.poll();
  desk_.cancel(waiting->id + 1);
  EXPECT_TRUE(desk_.poll().matched.empty());
  desk_.cancel(waiting->id);
  EXPECT_EQ(desk_.poll().matched.at(0).request, waiting);
}

TEST_P(MatchDeskTest, FlushesMemoryAndTier) {
  have_on_tier();
  serve(prompt(100));
  const CacheFlush flushed = desk_.flush(std::nullopt);
  EXPECT_EQ(flushed.blocks, 2U);
  EXPECT_EQ(flushed.tier_blocks, 2U);
  const cache::Erasure what = desk_.take_erasure();
  EXPECT_TRUE(what.all);
  desk_.on_erased(what, {});
  desk_.admit(request(prompt()));
  EXPECT_EQ(desk_.poll().matched.at(0).cached_tokens, 0U);
}

TEST_P(MatchDeskTest, HasATierInTroubleOpenedAnewThoughNobodyAsks) {
  have_on_tier();
  desk_.poll();
  EXPECT_FALSE(desk_.expects_expiry());
  desk_.on_hung();
  EXPECT_FALSE(desk_.tier_open());
  EXPECT_TRUE(desk_.expects_expiry()) << "somebody must come back";
  advance();
  EXPECT_FALSE(desk_.poll().open_tier);
  advance(kSecond);
  EXPECT_TRUE(desk_.poll().open_tier);
  advance(kSecond);
  EXPECT_FALSE(desk_.poll().open_tier) << "it is under way";
  desk_.on_opened({}, false);
  EXPECT_TRUE(desk_.tier_open());
  EXPECT_FALSE(desk_.expects_expiry());
}

TEST_P(MatchDeskTest, ForgetsAllThatItHasNotToldWhenItIsReset) {
  desk_.admit(request(prompt()));
  desk_.reset();
  const MatchOutput nothing = desk_.poll();
  EXPECT_TRUE(nothing.matched.empty());
  EXPECT_TRUE(nothing.touches.empty());
  EXPECT_EQ(desk_.counts().free, 8U);
}

INSTANTIATE_TEST_SUITE_P(Grids, MatchDeskTest,
                         testing::Values(kernels::BlockGrid(kBlockTokens), kernels::BlockGrid(kBlockTokens, 2)),
                         [](const auto& info) { return info.param.missing > 0 ? "ShortFirstBlock" : "Plain"; });

/// Blocks of one whole, and of nine more with their window rows, in a pool in which three have all; the window is two
/// blocks.
class WindowedDesk : public testing::Test {
 protected:
  void begin(std::uint64_t pool_bytes) {
    MatchDeskOptions options;
    options.cache.total_blocks = 16;
    options.cache.grid = options.tier.grid = kBlockTokens;
    options.cache.window = {.tokens = 2 * kBlockTokens, .full_bytes = 1, .window_bytes = 9, .pool_bytes = pool_bytes};
    options.tier.block_bytes = 100;
    desk_ = std::make_unique<MatchDesk>(options);
    desk_->advance(kSecond, true);
    desk_->on_opened({}, true);
  }
  /// A request that computes n whole blocks one after the other, and ends. What it finds.
  schedule::MatchedSequence serve(std::uint32_t n) {
    auto request = std::make_shared<schedule::AdmittedRequest>();
    request->id = next_++;
    request->prompt.resize(std::size_t{n} * kBlockTokens + 1);
    std::iota(request->prompt.begin(), request->prompt.end(), 0);
    desk_->admit(request);
    MatchOutput output = desk_->poll();
    if (output.matched.empty()) return {};
    schedule::MatchedSequence matched = output.matched[0];
    std::vector<BlockId> blocks = matched.blocks;
    cache::WindowSpan windows{matched.first_window, matched.cached_tokens / kBlockTokens};
    while (windows.end < n) {
      desk_->reclaim(1, {}, false);
      output = desk_->poll();
      schedule::CacheChanges changes;
      const BlockId granted = output.grant->blocks.at(0);
      if (windows.end < blocks.size()) {
        changes.refills = {{granted, blocks[windows.end]}};
        desk_->apply(changes, 0);
        changes.refills.clear();
      } else {
        blocks.push_back(granted);
      }
      const auto from = request->prompt.begin() + std::ptrdiff_t{windows.end} * kBlockTokens;
      changes.filled = {{request->id, {blocks[windows.end]}, {from, from + kBlockTokens}}};
      ++windows.end;
      const std::uint32_t first = cache::first_in_window(windows.end * kBlockTokens, 2 * kBlockTokens, kBlockTokens);
      changes.passed = {blocks.begin() + windows.first, blocks.begin() + first};
      windows.first = first;
      desk_->apply(changes, 0);
    }
    schedule::CacheChanges end;
    end.released = {{request->id, blocks, {}, windows}};
    desk_->apply(end, 0);
    EXPECT_EQ(desk_->check(), "");
    last_ = desk_->poll();
    return matched;
  }

  RequestId next_ = 1;
  MatchOutput last_;
  std::unique_ptr<MatchDesk> desk_;
};

TEST_F(WindowedDesk, OffersTheTierBlocksThatHaveAllTheirRows) {
  begin(160);
  serve(4);
  serve(4);  // what has been matched is worth it
  EXPECT_EQ(last_.saves.size(), 4U);
}

TEST_F(WindowedDesk, OffersTheTierNothingThatFollowsABlockWithoutWindowRows) {
  begin(40);
  serve(6);
  EXPECT_EQ(serve(6).cached_tokens, 6 * kBlockTokens);
  EXPECT_TRUE(last_.saves.empty());
  EXPECT_GT(desk_->bytes().full, 5U);
  EXPECT_LE(desk_->bytes().full + desk_->bytes().window, 40U);
}

TEST_F(WindowedDesk, ComputesOnceMoreWhatMemoryHasInPartAndDoesNotWaitForTheTier) {
  begin(40);
  serve(6);
  const schedule::MatchedSequence shorter = serve(3);
  EXPECT_EQ(shorter.cached_tokens, 0U);
  EXPECT_EQ(shorter.blocks.size(), 3U);
  EXPECT_EQ(serve(3).cached_tokens, 3 * kBlockTokens);
}

}  // namespace
}  // namespace headwater::match
