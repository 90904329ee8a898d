#include "model/piece_merger.h"

#include <algorithm>

namespace headwater::model {

void PieceMerger::begin(std::string_view text) {
  text_ = text;
  symbols_.clear();
  candidates_.clear();
  taken_ = 0;
}

void PieceMerger::push(std::size_t length) {
  const auto at = static_cast<std::int32_t>(symbols_.size());
  const std::uint32_t begin = at == 0 ? 0 : symbols_.back().begin + symbols_.back().length;
  symbols_.push_back({begin, static_cast<std::uint32_t>(length), at - 1, -1});
  if (at == 0) return;
  symbols_[static_cast<std::size_t>(at) - 1].next = at;
  offer(at - 1);
}

void PieceMerger::offer(std::int32_t left) {
  if (left < 0) return;
  const Symbol& symbol = symbols_[static_cast<std::size_t>(left)];
  if (symbol.next < 0) return;
  const std::uint32_t length = symbol.length + symbols_[static_cast<std::size_t>(symbol.next)].length;
  const PieceTable::Piece piece = pieces_->find(text_of(symbol.begin, length));
  if (piece.id < 0) return;
  candidates_.push_back({piece.score, left, length});
  std::push_heap(candidates_.begin(), candidates_.end());
}

void PieceMerger::merge_next() {
  std::pop_heap(candidates_.begin(), candidates_.end());
  const Candidate best = candidates_.back();
  candidates_.pop_back();
  Symbol& left = symbols_[static_cast<std::size_t>(best.left)];
  if (left.length == 0 || left.next < 0) return;
  Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
  if (left.length + right.length != best.length) return;  // one of the two has been merged since
  left.length = best.length;
  right.length = 0;
  left.next = right.next;
  if (left.next >= 0) symbols_[static_cast<std::size_t>(left.next)].previous = best.left;
  offer(left.previous);
  offer(best.left);
}

bool PieceMerger::advance(std::size_t& steps) {
  for (; steps > 0 && !candidates_.empty(); --steps) merge_next();
  return candidates_.empty();
}

std::string_view PieceMerger::next() {
  if (taken_ < 0 || symbols_.empty()) return {};
  const Symbol& symbol = symbols_[static_cast<std::size_t>(taken_)];
  taken_ = symbol.next;
  return text_of(symbol.begin, symbol.length);
}

}  // namespace headwater::model
