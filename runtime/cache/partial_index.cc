#include "cache/partial_index.h"

#include <algorithm>
#include <stdexcept>

namespace headwater::cache {
namespace {

/// The first of `children` that does not stand before `tokens`.
auto place_of(auto& children, std::span<const TokenId> tokens) {
  return std::ranges::lower_bound(
      children, tokens, [](auto left, auto right) { return std::ranges::lexicographical_compare(left, right); },
      [](const auto& child) { return child.tokens; });
}

std::uint32_t common(std::span<const TokenId> left, std::span<const TokenId> right) {
  return static_cast<std::uint32_t>(std::ranges::mismatch(left, right).in1 - left.begin());
}

}  // namespace

void PartialIndex::add(const Key& parent, schedule::BlockId block, std::span<const TokenId> tokens) {
  auto& children = children_[parent];
  children.insert(place_of(children, tokens), {tokens, block});
}

void PartialIndex::remove(const Key& parent, std::span<const TokenId> tokens) {
  const auto found = children_.find(parent);
  if (found == children_.end()) throw std::logic_error("a block is not among its parent's");
  auto& children = found->second;
  const auto child = place_of(children, tokens);
  if (child == children.end() || !std::ranges::equal(child->tokens, tokens)) {
    throw std::logic_error("a block is not among its parent's");
  }
  children.erase(child);
  if (children.empty()) children_.erase(found);
}

PartialIndex::Found PartialIndex::best(const Key& parent, std::span<const TokenId> next, double threshold) const {
  Found best;
  const auto found = children_.find(parent);
  if (found == children_.end()) return best;
  const auto& children = found->second;
  // Away from the place, what agrees only grows shorter. False: there is nothing better further on.
  const auto consider = [&](const Child& child) {
    const std::uint32_t agreeing = common(child.tokens, next);
    if (agreeing <= best.tokens) return false;
    if (static_cast<double>(agreeing) / static_cast<double>(child.tokens.size()) < threshold) return true;
    best = {child.block, agreeing};
    return false;
  };
  const auto place = place_of(children, next);
  auto after = place;
  for (std::uint32_t i = 0; i < kNeighbours && after != children.end() && consider(*after); ++i) ++after;
  auto before = place;
  for (std::uint32_t i = 0; i < kNeighbours && before != children.begin() && consider(*std::prev(before)); ++i) {
    --before;
  }
  return best;
}

bool PartialIndex::holds(const Key& parent, schedule::BlockId block, std::span<const TokenId> tokens) const {
  const auto found = children_.find(parent);
  if (found == children_.end()) return false;
  const auto child = place_of(found->second, tokens);
  return child != found->second.end() && child->block == block && std::ranges::equal(child->tokens, tokens);
}

std::size_t PartialIndex::size() const {
  std::size_t n = 0;
  for (const auto& [parent, children] : children_) n += children.size();
  return n;
}

}  // namespace headwater::cache
