#pragma once
// Cuts the attention of a step into tasks for the threads.
//
// Sequences that decode behind a common prefix have the same blocks there. Their rows walk through it together, so that
// keys and values are read once for all of them, and then each goes on alone. Rows that share only a part of it share
// that: prefixes form a tree, of which a phase takes one level.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/attention_kernel.h"

namespace headwater::kernels::cpu {

/// How the context is cut into splits, of which each has whole blocks.
constexpr BlockGrid split_grid(const BlockGrid& blocks) {
  constexpr auto kTokens = static_cast<std::uint32_t>(kSplitTokens);
  return {kTokens, blocks.missing > 0 ? kTokens - blocks.size(0) : 0};
}

/// Floats that Gathered takes for n_rows rows, in whole cache lines.
std::size_t gathered_size(std::size_t n_rows, std::size_t head_dim);

/// Query rows of one KV head, up to max_rows, that walk through splits of the context together.
struct AttentionUnit {
  static constexpr std::uint32_t kAlone = ~0U;

  std::uint32_t kv_head;
  std::uint32_t sequence;      ///< whose blocks are read
  std::uint32_t first_member;  ///< in AttentionPlan's list of the sequences that share them; kAlone: just the one
  std::uint32_t first_row;     ///< of the unit, among all rows of the sequence (the members) and KV head
  std::uint32_t n_rows;
  std::uint32_t first_split, end_split;
  bool begins;               ///< nothing was gathered before first_split
  bool ends;                 ///< end_split is the end of the context
  std::uint32_t left = 0;    ///< tasks that are not done, if it is cut
  std::size_t gathered = 0;  ///< floats before its splits' results, if it is cut

  std::uint32_t n_splits() const { return end_split - first_split; }
};

/// Some splits of a unit.
struct AttentionTask {
  std::uint32_t unit, first_split, end_split;
};

class AttentionPlan {
 public:
  /// A query: one head of one row of the step.
  struct Query {
    std::uint32_t sequence, row, head;
    std::uint32_t context;  ///< tokens up to its own
  };

  /// sequences must stay as they are while the plan is in use. A block has a power of two tokens up to kSplitTokens.
  /// max_rows: of a unit, up to kMaxRows.
  void make(const AttentionShape& shape, const BlockGrid& blocks, std::span<const SequenceRows> sequences,
            std::size_t threads, std::size_t max_rows);

  std::span<const SequenceRows> sequences() const { return sequences_; }
  const BlockGrid& splits() const { return splits_; }
  std::vector<AttentionUnit>& units() { return units_; }
  std::span<const AttentionTask> tasks() const { return tasks_; }
  /// Where the tasks of each phase end. A phase goes on from what the one before it has gathered.
  std::span<const std::uint32_t> phase_ends() const { return phase_ends_; }
  /// Row r of a unit.
  Query query(const AttentionUnit& unit, std::uint32_t r) const;
  /// Where what a query has gathered is kept between phases: 0 … kept() - 1.
  std::size_t slot(const Query& query) const { return slots_[query.sequence] * std::size_t{n_heads_} + query.head; }
  std::size_t kept() const { return sharing_.size() * std::size_t{n_heads_}; }
  /// Floats for the results of all units that are cut.
  std::size_t gathered() const { return gathered_; }

 private:
  /// Of sharing_, those that have splits [0, depth) in common.
  struct Group {
    std::uint32_t first, end, depth;
  };

  /// Units that there are if nothing is shared. Where they are too few for the threads, fewer rows in each are better
  /// than cutting them, since every split of a unit that is cut takes memory for all its rows.
  std::size_t units_alone() const;
  void share();
  void share(const Group& group);
  /// The blocks of a sequence's whole splits before its last token. A first split of one block is none: to walk through
  /// it together is not worth a phase.
  std::span<const std::int32_t> whole_splits(std::uint32_t sequence) const;
  std::uint32_t common_splits(std::uint32_t a, std::uint32_t b) const;
  void add_alone();
  void add_alone(std::uint32_t sequence);
  void end_phase(std::size_t threads);

  std::span<const SequenceRows> sequences_;
  std::uint32_t n_heads_ = 0, n_kv_heads_ = 0, group_ = 1, window_ = 0;
  std::size_t head_dim_ = 0;
  BlockGrid blocks_, splits_;
  std::uint32_t max_rows_ = 1;
  std::vector<AttentionUnit> units_;
  std::vector<AttentionTask> tasks_;
  std::vector<std::uint32_t> phase_ends_;
  std::vector<std::uint32_t> sharing_;       ///< decoding sequences by their blocks, so that prefixes stand together
  std::vector<std::uint32_t> slots_;         ///< by sequence: its place there
  std::vector<std::uint32_t> first_splits_;  ///< by sequence: the first that it does not share
  std::vector<Group> groups_, next_groups_;
  std::size_t planned_units_ = 0;  ///< that have tasks
  std::size_t gathered_ = 0;
};

}  // namespace headwater::kernels::cpu
