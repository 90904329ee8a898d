#include "model/word_merger.h"

#include <algorithm>
#include <functional>

namespace headwater::model {

std::size_t WordMerger::merge_short(std::span<TokenId> symbols) {
  std::size_t n = symbols.size();
  if (n < 2) return n;
  pairs_.resize(n - 1);
  for (std::size_t i = 0; i + 1 < n; ++i) pairs_[i] = merges_->find(symbols[i], symbols[i + 1]);
  const auto at = [](auto begin, std::size_t i) { return begin + static_cast<std::ptrdiff_t>(i); };
  while (n > 1) {
    std::size_t best = n;
    for (std::size_t i = 0; i + 1 < n; ++i) {
      if (pairs_[i].merged >= 0 && (best == n || pairs_[i].rank < pairs_[best].rank)) best = i;
    }
    if (best == n) break;
    symbols[best] = pairs_[best].merged;
    std::copy(at(symbols.begin(), best + 2), at(symbols.begin(), n), at(symbols.begin(), best + 1));
    std::copy(at(pairs_.begin(), best + 1), at(pairs_.begin(), n - 1), at(pairs_.begin(), best));
    --n;
    if (best > 0) pairs_[best - 1] = merges_->find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) pairs_[best] = merges_->find(symbols[best], symbols[best + 1]);
  }
  return n;
}

void WordMerger::begin(std::span<const TokenId> symbols) {
  symbols_.clear();
  symbols_.reserve(symbols.size());
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const auto at = static_cast<std::int32_t>(i);
    symbols_.push_back({symbols[i], at - 1, i + 1 < symbols.size() ? at + 1 : -1});
  }
  heap_.clear();
  offered_ = 0;
}

void WordMerger::offer(std::int32_t left) {
  if (left < 0) return;
  const Symbol& symbol = symbols_[static_cast<std::size_t>(left)];
  if (symbol.next < 0) return;
  const TokenId right = symbols_[static_cast<std::size_t>(symbol.next)].id;
  const MergeTable::Merge merge = merges_->find(symbol.id, right);
  if (merge.merged < 0) return;
  heap_.push_back({merge.rank, left, symbol.id, right, merge.merged});
  std::ranges::push_heap(heap_, std::greater{});
}

void WordMerger::merge_next() {
  std::ranges::pop_heap(heap_, std::greater{});
  const Candidate best = heap_.back();
  heap_.pop_back();
  Symbol& left = symbols_[static_cast<std::size_t>(best.left)];
  if (left.id != best.left_id || left.next < 0) return;  // one of the two has been merged since
  Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
  if (right.id != best.right_id) return;
  left.id = best.merged;
  right.id = -1;
  left.next = right.next;
  if (left.next >= 0) symbols_[static_cast<std::size_t>(left.next)].previous = best.left;
  offer(left.previous);
  offer(best.left);
}

bool WordMerger::advance(std::size_t& steps) {
  for (; steps > 0 && offered_ < symbols_.size(); --steps) offer(static_cast<std::int32_t>(offered_++));
  for (; steps > 0 && !heap_.empty(); --steps) merge_next();
  return offered_ == symbols_.size() && heap_.empty();
}

void WordMerger::take(std::vector<TokenId>& out) {
  if (symbols_.empty()) return;
  for (std::int32_t at = 0; at >= 0; at = symbols_[static_cast<std::size_t>(at)].next) {
    const TokenId id = symbols_[static_cast<std::size_t>(at)].id;
    if (id >= 0) out.push_back(id);
  }
  symbols_.clear();
}

}  // namespace headwater::model
