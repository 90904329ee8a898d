#include "kernels/cpu/attention_plan.h"

#include <algorithm>

namespace headwater::kernels::cpu {
namespace {

/// How many tasks a thread should find, so that one that is held up does not hold up all.
constexpr std::size_t kTasksPerThread = 8;

}  // namespace

std::size_t gathered_size(std::size_t n_rows, std::size_t head_dim) {
  return (stored_rows(n_rows) * head_dim + 2 * kMaxRows + 15) / 16 * 16;
}

AttentionPlan::Query AttentionPlan::query(const AttentionUnit& unit, std::uint32_t r) const {
  const std::uint32_t index = unit.first_row + r;
  const std::uint32_t token = index / group_;
  const std::uint32_t head = unit.kv_head * group_ + index % group_;
  if (unit.first_member == AttentionUnit::kAlone) {
    const SequenceRows& rows = sequences_[unit.sequence];
    return {unit.sequence, rows.first_row + token, head, rows.first_position + token + 1};
  }
  const std::uint32_t member = sharing_[unit.first_member + token];
  return {member, sequences_[member].first_row, head, sequences_[member].first_position + 1};
}

void AttentionPlan::make(const AttentionShape& shape, const BlockGrid& blocks, std::span<const SequenceRows> sequences,
                         std::size_t threads, std::size_t max_rows) {
  sequences_ = sequences;
  n_heads_ = shape.n_heads;
  n_kv_heads_ = shape.n_kv_heads;
  group_ = shape.n_heads / shape.n_kv_heads;
  window_ = shape.window;
  head_dim_ = shape.head_dim;
  max_rows_ = static_cast<std::uint32_t>(max_rows);
  while (max_rows_ > kPairedRows && units_alone() < threads * kTasksPerThread) max_rows_ /= 2;
  blocks_ = blocks;
  splits_ = split_grid(blocks);
  units_.clear();
  tasks_.clear();
  phase_ends_.clear();
  planned_units_ = 0;
  gathered_ = 0;
  first_splits_.assign(sequences.size(), 0);
  share();
  while (!groups_.empty()) {
    next_groups_.clear();
    for (const Group& group : groups_) share(group);
    if (!next_groups_.empty()) end_phase(threads);
    groups_.swap(next_groups_);
  }
  add_alone();
  end_phase(threads);
}

std::size_t AttentionPlan::units_alone() const {
  std::size_t n = 0;
  for (const SequenceRows& rows : sequences_) n += n_kv_heads_ * ((rows.n_rows * group_ + max_rows_ - 1) / max_rows_);
  return n;
}

std::span<const std::int32_t> AttentionPlan::whole_splits(std::uint32_t sequence) const {
  const std::uint32_t n = splits_.whole(sequences_[sequence].first_position);
  const std::uint32_t n_blocks = blocks_.whole(splits_.begin(n));
  return sequences_[sequence].block_table.first(n_blocks > 1 || blocks_.missing == 0 ? n_blocks : 0);
}

std::uint32_t AttentionPlan::common_splits(std::uint32_t a, std::uint32_t b) const {
  const auto mine = whole_splits(a);
  const auto others = whole_splits(b);
  const auto end = std::mismatch(mine.begin(), mine.end(), others.begin(), others.end()).first;
  const std::uint32_t n = splits_.whole(blocks_.begin(static_cast<std::uint32_t>(end - mine.begin())));
  return n > 1 || blocks_.missing == 0 ? n : 0;
}

void AttentionPlan::share() {
  sharing_.clear();
  groups_.clear();
  // Of a window little is left to share.
  for (std::uint32_t s = 0; window_ == 0 && s < sequences_.size(); ++s) {
    if (sequences_[s].n_rows == 1 && !whole_splits(s).empty()) sharing_.push_back(s);
  }
  std::sort(sharing_.begin(), sharing_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const auto mine = whole_splits(a);
    const auto others = whole_splits(b);
    return std::lexicographical_compare(mine.begin(), mine.end(), others.begin(), others.end());
  });
  slots_.resize(sequences_.size());
  for (std::uint32_t i = 0; i < sharing_.size(); ++i) slots_[sharing_[i]] = i;
  if (sharing_.size() > 1) groups_.push_back({0, static_cast<std::uint32_t>(sharing_.size()), 0});
}

void AttentionPlan::share(const Group& group) {
  for (std::uint32_t first = group.first, end = first + 1; first < group.end; first = end++) {
    while (end < group.end && common_splits(sharing_[first], sharing_[end]) > group.depth) ++end;
    if (end - first < 2) continue;
    // They are sorted, so that what the first has in common with the last all have in common.
    const std::uint32_t depth = common_splits(sharing_[first], sharing_[end - 1]);
    const std::uint32_t n_rows = (end - first) * group_;
    for (std::uint32_t head = 0; head < n_kv_heads_; ++head) {
      for (std::uint32_t row = 0; row < n_rows; row += max_rows_) {
        const std::uint32_t n = std::min(n_rows - row, max_rows_);
        units_.push_back({head, sharing_[first], first, row, n, group.depth, depth, group.depth == 0, false});
      }
    }
    for (std::uint32_t i = first; i < end; ++i) first_splits_[sharing_[i]] = depth;
    next_groups_.push_back({first, end, depth});
  }
}

void AttentionPlan::add_alone() {
  // Prompts first: their tasks are the longest, and none of those should be left for the end.
  for (const bool prompts : {true, false}) {
    for (std::uint32_t s = 0; s < sequences_.size(); ++s) {
      if ((sequences_[s].n_rows > 1) == prompts) add_alone(s);
    }
  }
}

void AttentionPlan::add_alone(std::uint32_t sequence) {
  const SequenceRows& rows = sequences_[sequence];
  const std::uint32_t n_rows = rows.n_rows * group_;
  for (std::uint32_t head = 0; head < n_kv_heads_; ++head) {
    // The last rows see most, so they come first.
    for (std::uint32_t tile = (n_rows + max_rows_ - 1) / max_rows_; tile-- > 0;) {
      const std::uint32_t row = tile * max_rows_;
      const std::uint32_t end = std::min(n_rows, row + max_rows_);
      const std::uint32_t end_split = splits_.covering(rows.first_position + (end - 1) / group_ + 1);
      std::uint32_t first_split = first_splits_[sequence];
      if (const std::uint32_t least = rows.first_position + row / group_ + 1; window_ > 0 && least > window_) {
        first_split = splits_.block_of(least - window_);
      }
      const bool begins = first_splits_[sequence] == 0;
      units_.push_back({head, sequence, AttentionUnit::kAlone, row, end - row, first_split, end_split, begins, true});
    }
  }
}

void AttentionPlan::end_phase(std::size_t threads) {
  std::size_t visits = 0;
  for (std::size_t i = planned_units_; i < units_.size(); ++i) visits += units_[i].n_splits();
  const std::size_t per_task = threads == 1 ? visits : std::max<std::size_t>(1, visits / (threads * kTasksPerThread));
  const auto step = static_cast<std::uint32_t>(std::min<std::size_t>(per_task, ~0U));
  for (; planned_units_ < units_.size(); ++planned_units_) {
    AttentionUnit& unit = units_[planned_units_];
    const auto index = static_cast<std::uint32_t>(planned_units_);
    if (unit.n_splits() <= step) {
      tasks_.push_back({index, unit.first_split, unit.end_split});
      continue;
    }
    unit.gathered = gathered_;
    gathered_ += unit.n_splits() * gathered_size(unit.n_rows, head_dim_);
    for (std::uint32_t split = unit.first_split; split < unit.end_split; split += step) {
      tasks_.push_back({index, split, std::min(unit.end_split, split + step)});
      ++unit.left;
    }
  }
  phase_ends_.push_back(static_cast<std::uint32_t>(tasks_.size()));
}

}  // namespace headwater::kernels::cpu
