#include "cache/partial_index.h"

#include <algorithm>
#include <stdexcept>

namespace headwater::cache {
namespace {

std::uint32_t common(std::span<const TokenId> left, std::span<const TokenId> right) {
  return static_cast<std::uint32_t>(std::ranges::mismatch(left, right).in1 - left.begin());
}

}  // namespace

void PartialIndex::add(const Key& parent, BlockId block, std::span<const TokenId> tokens) {
  children_[parent].emplace(tokens, block);
}

void PartialIndex::remove(const Key& parent, std::span<const TokenId> tokens) {
  const auto found = children_.find(parent);
  if (found == children_.end() || found->second.erase(tokens) == 0) {
    throw std::logic_error("a block is not among its parent's");
  }
  if (found->second.empty()) children_.erase(found);
}

PartialIndex::Found PartialIndex::best(const Key& parent, std::span<const TokenId> next, double threshold) const {
  Found best;
  const auto found = children_.find(parent);
  if (found == children_.end()) return best;
  const Children& children = found->second;
  // Away from the place, what agrees only grows shorter. False: there is nothing better further on.
  const auto consider = [&](const Children::value_type& child) {
    const auto& [tokens, block] = child;
    const std::uint32_t agreeing = common(tokens, next);
    if (agreeing <= best.tokens) return false;
    if (static_cast<double>(agreeing) / static_cast<double>(tokens.size()) < threshold) return true;
    best = {block, agreeing};
    return false;
  };
  const auto place = children.lower_bound(next);
  auto after = place;
  for (std::uint32_t i = 0; i < kNeighbours && after != children.end() && consider(*after); ++i) ++after;
  auto before = place;
  for (std::uint32_t i = 0; i < kNeighbours && before != children.begin() && consider(*std::prev(before)); ++i) {
    --before;
  }
  return best;
}

bool PartialIndex::holds(const Key& parent, BlockId block, std::span<const TokenId> tokens) const {
  const auto found = children_.find(parent);
  if (found == children_.end()) return false;
  const auto child = found->second.find(tokens);
  return child != found->second.end() && child->second == block;
}

std::size_t PartialIndex::size() const {
  std::size_t n = 0;
  for (const auto& [parent, children] : children_) n += children.size();
  return n;
}

}  // namespace headwater::cache
