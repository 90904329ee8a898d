#pragma once
// A sequence as the scheduler sees it, and the queue in which sequences wait for their turn.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "schedule/draft_finder.h"
#include "schedule/scheduler.h"
#include "schedule/step.h"

namespace headwater::schedule {

struct Sequence {
  enum class State : std::uint8_t {
    waiting,     ///< matched, in the queue
    rematching,  ///< at the prefix cache
    running,
  };

  RequestPtr request;
  std::vector<TokenId> tokens;  ///< prompt and what was generated
  std::vector<BlockId> blocks;  ///< block table
  State state = State::waiting;
  std::uint64_t age = 0;  ///< order of arrival; less is older
  /// Tokens whose keys and values are in the blocks, or are put there before the first step computes: the restored.
  std::uint32_t computed = 0;
  std::uint32_t published = 0;                ///< leading blocks that the prefix cache knows
  std::uint32_t cached_tokens = 0;            ///< of the last match before it was first scheduled, with the restored
  CacheDetails details;                       ///< of cached_tokens
  std::vector<cache::BlockBytes> restored{};  ///< bytes for the blocks after the published, until its first step
  TimeNs scheduled_at = 0;                    ///< first time; 0: not yet
  /// The last of its blocks is the cache's, and agrees in part: it is copied with the first step.
  bool borrows_last = false;
  BlockId copied = -1;   ///< the block that the step in flight copies; -1: none
  bool matched = true;   ///< its blocks are those of a match (none: it gave them up)
  bool stale = false;    ///< more of its prefix has been published since it was matched
  bool started = false;  ///< the executor knows it
  bool cancelled = false;
  std::uint32_t planned = 0;         ///< tokens that the step in flight computes for it; 0: it is not part of it
  std::uint32_t drafted = 0;         ///< guesses that it checks
  DraftFinder drafts{};              ///< of `tokens`
  std::uint32_t known_blocks = 0;    ///< leading blocks that the executor knows
  cache::WindowSpan windows{};       ///< blocks whose window rows it has; it may fill those before their end
  std::uint32_t matched_blocks = 0;  ///< leading blocks that are the cache's since the match

  RequestId id() const { return request->id; }
  /// Tokens whose keys and values are still to be computed before or with the next sampling.
  std::uint32_t uncomputed() const { return static_cast<std::uint32_t>(tokens.size()) - computed; }
  /// Tokens of its answer so far.
  std::uint32_t generated() const { return static_cast<std::uint32_t>(tokens.size() - request->prompt.size()); }
  /// Nothing but the newest token is to be computed, and it was generated.
  bool decoding() const { return uncomputed() == 1 && tokens.size() > request->prompt.size(); }
  /// REQUIRES: it is not at its end.
  std::uint32_t left_to_generate() const { return request->max_new_tokens - generated(); }
  /// Tokens that nobody need compute or restore for it.
  std::uint32_t in_memory(const kernels::BlockGrid& grid) const {
    return restored.empty() ? computed : grid.begin(published);
  }
  /// Whether it may read what others have computed; scoring a prompt needs every row.
  bool uses_cache() const { return !request->request.params.prompt_logprobs.has_value(); }
  /// Whether the rows that it computes next are scored, each of which costs a row of logits.
  bool scores() const {
    return request->request.params.prompt_logprobs.has_value() && computed + 1 < request->prompt.size();
  }
  /// Blocks that it may fill.
  std::uint32_t own_blocks() const { return windows.end - (borrows_last ? 1 : 0); }
  /// Tokens that will be known, and not computed, after the step in flight, if it does not end there.
  std::uint32_t uncomputed_after_step() const;
  /// Tokens that the step in flight and `more` after it compute at most; the last of an answer is never an input.
  std::uint32_t reach(std::uint32_t more) const {
    return drafted == 0 ? planned + more : std::min(planned + drafted + more, left_to_generate());
  }
};

/// Tokens in whole blocks with which both begin, short of the last token of `reader`, for a reader that may use
/// them: same tenant, cache allowed. 0 otherwise.
std::uint32_t shared_prefix(const Sequence& reader, const Sequence& writer, const kernels::BlockGrid& grid);

/// Who is next: preempted sequences first; then tenants, the one that was served least since it began to wait; then its
/// connections in turns, first come first served in each. Where one tenant waits alone, connections decide.
/// Source: Sheng et al., "Fairness in serving large language models", 2024 (virtual token counters).
class WaitingQueue {
 public:
  void push_back(Sequence* sequence);
  void push_front(Sequence* sequence);  ///< before everybody
  /// The first `n` in the order of their turns.
  std::vector<Sequence*> first(std::size_t n) const;
  /// Takes a sequence out whose turn it is, and charges its tenant for what is left to compute of its prompt; its
  /// connection moves to the end.
  void take(Sequence* sequence);
  /// Takes a sequence out that leaves; its connection keeps its place.
  void remove(Sequence* sequence);
  /// Tokens were generated for the tenant.
  void charge(const std::string& tenant, std::uint32_t tokens);

 private:
  struct Turn {
    ConnectionId connection;
    std::deque<Sequence*> sequences;
  };
  struct Tenant {
    std::uint64_t served = 0;  ///< tokens
    std::list<Turn> turns;
  };

  struct Place {
    Tenant* tenant;
    std::list<Turn>::iterator turn;
  };

  /// Where a sequence waits that is not urgent.
  std::optional<Place> place_of(const Sequence& sequence);
  static void remove_from(const Place& place, Sequence* sequence);
  /// Raised to what others that wait were served: nobody saves service up.
  Tenant& tenant(const std::string& name);
  static std::vector<Sequence*> order(const Tenant& tenant, std::size_t n);
  void forget_idle();

  std::deque<Sequence*> urgent_;
  std::map<std::string, Tenant> tenants_;
  std::uint64_t floor_ = 0;  ///< what a tenant was served whose turn it was last
};

}  // namespace headwater::schedule
