#pragma once
// Which sequences run in the next step and how many tokens of each: continuous batching, chunked prefill
// beside decode, preemption. No actor, socket or clock.
//
// The scheduler owns the sequences and the blocks that it has been granted. It has at most one step in flight.
// Blocks come from the prefix cache by way of demand → on_grant, ahead of need where that can be foreseen.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/window.h"
#include "kernels/block_grid.h"
#include "schedule/prefix_counters.h"
#include "schedule/step.h"

namespace headwater::schedule {

/// All above 0; what is usual stands in topology/catalog.cc.
struct SchedulerOptions {
  std::uint32_t max_batch_size = 0;   ///< sequences in one step; no more than max_step_tokens take part
  std::uint32_t max_step_tokens = 0;  ///< rows in one step
  std::uint32_t prefill_chunk = 0;    ///< prompt tokens of one sequence in one step
  /// Prompt tokens in a step in which sequences decode: they wait for it, and who has just come for the one before.
  std::uint32_t mixed_prefill_tokens = 0;
  kernels::BlockGrid grid;         ///< which tokens of a sequence its blocks hold
  std::uint32_t total_blocks = 0;  ///< of the pool
  cache::WindowOptions window{};   ///< what blocks take, and all together, where layers have a window
  /// Whether the prefix cache is on: then a sequence waits while another computes what it begins with.
  bool share_prefixes = true;
  /// Whether a sequence is let in only when its blocks will likely last; otherwise as soon as its next tokens have
  /// room, and more are preempted.
  bool lasting_admission = true;
  /// Most tokens of one sequence that are guessed from its own text and checked in one step; 0: none.
  std::uint32_t draft_tokens = 0;
};

/// A request with the blocks that the prefix cache found for it.
struct MatchedSequence {
  RequestPtr request;
  std::vector<TokenId> tokens;  ///< prompt, and after a preemption what was generated
  std::vector<BlockId> blocks;  ///< referenced in the cache for this request
  /// As in cache::MatchResult; less than tokens.size(), so tokens are never empty.
  std::uint32_t cached_tokens = 0;
  CacheDetails details{};
  /// Whole blocks that come after these, from a slower tier; where there are any, `blocks` are whole. With them, too,
  /// at least the last token is left to compute.
  std::vector<cache::BlockBytes> restored{};
  std::uint32_t first_window = 0;  ///< the first block whose window rows are held for it
};

/// Blocks to publish: filled, in order, since the last time.
struct FilledBlocks {
  RequestId id = 0;
  std::vector<BlockId> blocks;
  std::vector<TokenId> tokens;  ///< all that they hold
};

/// Blocks that a sequence gives up: all it had.
struct ReleasedBlocks {
  RequestId id = 0;
  std::vector<BlockId> blocks;  ///< in the order of the block table
  std::vector<TokenId> tail;    ///< what has been computed of its own block that is not full
  cache::WindowSpan windows{};  ///< whose window rows it had
};

/// An indexed block that is computed once more, for its window rows, and a granted one that it is done in place of.
struct Refill {
  BlockId granted = -1;
  BlockId block = -1;
};

/// A sequence without blocks that wants to be matched again (preempted, or it gave its pins up).
struct Rematch {
  RequestPtr request;
  std::vector<TokenId> tokens;
};

/// What the prefix cache is to hear. Apply in the order of the fields.
struct CacheChanges {
  std::vector<FilledBlocks> filled;
  std::vector<BlockId> passed;  ///< their window rows are not needed any more
  std::vector<ReleasedBlocks> released;
  std::vector<BlockId> copied;  ///< matched in part: the copy is made, or not wanted
  std::vector<Refill> refills;
  std::vector<BlockId> returned;  ///< granted and not needed
  std::vector<Rematch> rematch;

  bool empty() const {
    return filled.empty() && passed.empty() && released.empty() && copied.empty() && refills.empty() &&
           returned.empty() && rematch.empty();
  }
};

/// All that the scheduler wants done now: changes, then demand, then plan.
struct SchedulerOutput : CacheChanges {
  std::uint32_t demand = 0;  ///< blocks wanted; answered by exactly one on_grant
  std::optional<StepPlan> plan;
};

struct SchedulerCounters {
  std::uint64_t running = 0, waiting = 0, preemptions = 0, steps = 0;
  std::uint64_t drafted = 0, accepted = 0;  ///< tokens guessed and checked; of those, right
  PrefixCounters prefix;
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerOptions options);
  ~Scheduler();

  /// Takes a sequence into the queue of its connection. Connections take turns.
  void add(MatchedSequence sequence);
  /// Ends a sequence wherever it is. A step in flight finishes first; unknown ids are ignored.
  void cancel(RequestId id);
  /// The answer to a demand. Fewer blocks than asked for: there are no more now.
  /// `saves`: what of these blocks is to be read out before anything is written into them.
  void on_grant(std::span<const BlockId> blocks, std::uint32_t asked, std::vector<BlockSave> saves = {});
  /// Cached blocks to read out, a few with each plan, and before they are written into: plans alone write into blocks.
  void save(std::vector<BlockSave> saves);
  /// Memory that goes back to the system with the next plan. To be told before what is matched or granted since.
  void give_back(const cache::GivenBack& given_back);
  /// The answer to a plan. REQUIRES: it is the one in flight (others are ignored).
  void on_result(const StepResult& result);

  /// Decides everything that can be decided now. Call after each of the above.
  /// Policy: decode first; then prompt chunks of those that run, oldest first; then new ones, round robin over
  /// connections, first come first served in each, until a limit is reached. One whose prefix is being computed by
  /// another waits for that. If blocks run out: waiting sequences give up their pins (newest first), then the newest
  /// running sequences are preempted; the oldest always goes on.
  SchedulerOutput poll(TimeNs now);

  bool idle() const;  ///< no sequence and no step in flight
  SchedulerCounters counters() const;
  void reset(std::uint64_t epoch);  ///< forgets all sequences; later plans carry `epoch`

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater::schedule
