#include "tools/cachesim/replay.h"

#include <limits>
#include <memory>

namespace headwater::cachesim {
namespace {

constexpr std::uint64_t kRequestsPerReport = 256;

/// For every block of every request, the number of the next request that wants it too.
std::vector<std::vector<std::int64_t>> next_requests(const Trace& trace) {
  std::vector<std::int64_t> next(trace.distinct_blocks, std::numeric_limits<std::int64_t>::max());
  std::vector<std::vector<std::int64_t>> all(trace.requests.size());
  for (std::size_t r = trace.requests.size(); r-- > 0;) {
    for (const TokenId block : trace.requests[r].blocks) all[r].push_back(next[static_cast<std::size_t>(block)]);
    for (const TokenId block : trace.requests[r].blocks) {
      next[static_cast<std::size_t>(block)] = static_cast<std::int64_t>(r);
    }
  }
  return all;
}

/// Gives up what is wanted again last, as told before the block is idle. Source: L. Belady, "A study of replacement
/// algorithms for a virtual-storage computer", 1966.
class Optimal : public cache::EvictionPolicy {
 public:
  explicit Optimal(std::uint32_t total_blocks) : next_(total_blocks) {}
  void tell(BlockId block, std::int64_t next_request) { next_[static_cast<std::size_t>(block)] = next_request; }

  void on_published(const cache::Touch&, TimeNs) override {}
  void on_idle(BlockId, TimeNs) override {}
  void on_forgotten(BlockId) override {}
  Place place(BlockId block) const override { return {0, {-next_[static_cast<std::size_t>(block)], 0}}; }

 private:
  std::vector<std::int64_t> next_;
};

class Simulation {
 public:
  Simulation(std::unique_ptr<cache::EvictionPolicy> policy, std::uint32_t capacity)
      : cache_({.total_blocks = capacity, .grid = 1, .enabled = true, .context = {}}),
        evictor_(std::move(policy), capacity) {}

  /// `published(i, block)` is told where the request's block i is. The number of hits.
  template <class Published>
  std::uint64_t serve(const TraceRequest& request, const Published& published) {
    std::vector<TokenId> tokens = request.blocks;  // a block's number stands for its tokens
    tokens.push_back(-1);                          // the last token of a prompt is never looked up
    ++id_;
    std::vector<BlockId> held = cache_.match(id_, tokens, "", true).blocks;
    const std::size_t hits = held.size();
    tell(request.at);
    const auto missing = static_cast<std::uint32_t>(request.blocks.size() - hits);
    const auto free = static_cast<std::uint32_t>(cache_.counts().free);
    const auto granted = cache_.reclaim(missing, evictor_.victims(missing > free ? missing - free : 0));
    tell(request.at);
    cache_.publish(id_, granted, std::span(tokens).subspan(hits, granted.size()));
    held.insert(held.end(), granted.begin(), granted.end());
    for (std::size_t i = 0; i < held.size(); ++i) published(i, held[i]);
    cache_.release(id_, held);
    tell(request.at);
    return hits;
  }

 private:
  void tell(TimeNs now) { evictor_.on_touches(cache_.take_touches(), now); }

  cache::PrefixCache cache_;
  cache::Evictor evictor_;
  RequestId id_ = 0;
};

}  // namespace

Result<double> replay(const Trace& trace, const Replay& replay, const std::function<void(std::uint64_t)>& progress) {
  std::unique_ptr<cache::EvictionPolicy> policy;
  Optimal* optimal = nullptr;
  std::vector<std::vector<std::int64_t>> next;
  if (replay.policy == kOptimal) {
    auto made = std::make_unique<Optimal>(replay.capacity);
    optimal = made.get();
    policy = std::move(made);
    next = next_requests(trace);
  } else {
    auto made = cache::make_policy(replay.policy, replay.capacity);
    if (!made) return made.error();
    policy = std::move(*made);
  }
  Simulation simulation(std::move(policy), replay.capacity);
  std::uint64_t hits = 0;
  std::uint64_t unreported = 0;
  for (std::size_t r = 0; r < trace.requests.size(); ++r) {
    hits += simulation.serve(trace.requests[r], [&](std::size_t i, BlockId block) {
      if (optimal != nullptr) optimal->tell(block, next[r][i]);
    });
    if (++unreported == kRequestsPerReport) progress(std::exchange(unreported, 0));
  }
  progress(unreported);
  return static_cast<double>(hits) / static_cast<double>(trace.total_blocks);
}

}  // namespace headwater::cachesim
