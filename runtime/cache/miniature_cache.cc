#include "cache/miniature_cache.h"

#include <algorithm>
#include <utility>

namespace headwater::cache {

MiniatureCache::MiniatureCache(std::unique_ptr<EvictionPolicy> policy, std::uint32_t blocks)
    : evictor_(std::move(policy), blocks), known_(blocks) {
  blocks_.reserve(blocks);
  for (std::uint32_t block = blocks; block > 0; --block) free_.push_back(static_cast<BlockId>(block - 1));
}

std::size_t MiniatureCache::serve(std::span<const std::uint64_t> keys) {
  ++now_;
  held_.clear();
  touches_.clear();
  for (const std::uint64_t key : keys) {
    const auto found = blocks_.find(key);
    if (found == blocks_.end()) break;
    held_.push_back(found->second);
    touches_.push_back({.kind = Touch::Kind::busy, .block = found->second});
  }
  const std::size_t hits = held_.size();
  evictor_.on_touches(touches_, now_);
  touches_.clear();
  make_room(keys.size() - hits);
  while (held_.size() < keys.size() && !free_.empty()) {
    publish(held_.empty() ? -1 : held_.back(), static_cast<std::uint32_t>(held_.size()), keys[held_.size()]);
  }
  for (std::size_t i = held_.size(); i > 0; --i) touches_.push_back({.kind = Touch::Kind::idle, .block = held_[i - 1]});
  evictor_.on_touches(touches_, now_);
  return hits;
}

void MiniatureCache::fill(std::uint64_t parent, std::uint64_t key) {
  if (holds(key)) return;
  const auto before = blocks_.find(parent);
  if (parent != 0 && before == blocks_.end()) return;
  const BlockId above = parent != 0 ? before->second : -1;
  ++now_;
  held_.clear();
  touches_.clear();
  if (free_.empty() && std::ranges::count(evictor_.victims(1), above) == 0) make_room(1);
  if (free_.empty()) return;
  publish(above, above < 0 ? 0 : known_[static_cast<std::size_t>(above)].depth + 1, key);
  touches_.push_back({.kind = Touch::Kind::idle, .block = held_.back()});
  evictor_.on_touches(touches_, now_);
}

void MiniatureCache::make_room(std::size_t blocks) {
  if (blocks <= free_.size()) return;
  for (const BlockId block : evictor_.victims(static_cast<std::uint32_t>(blocks - free_.size()))) {
    touches_.push_back({.kind = Touch::Kind::forgotten, .block = block});
    blocks_.erase(known_[static_cast<std::size_t>(block)].key);
    free_.push_back(block);
  }
}

void MiniatureCache::publish(BlockId parent, std::uint32_t depth, std::uint64_t key) {
  const BlockId block = free_.back();
  free_.pop_back();
  touches_.push_back({.kind = Touch::Kind::published, .block = block, .parent = parent, .depth = depth, .key = key});
  blocks_.emplace(key, block);
  known_[static_cast<std::size_t>(block)] = {key, depth};
  held_.push_back(block);
}

}  // namespace headwater::cache
