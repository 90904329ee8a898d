#include "cache/window_rows.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace headwater::cache {
namespace {

/// Prompts that wanted them, after which window rows are taken for the end of what many prompts begin with.
constexpr std::uint8_t kManyHits = 2;

}  // namespace

WindowRows::WindowRows(const WindowOptions& options, std::uint32_t total_blocks) : options_(options) {
  if (exist()) entries_.resize(total_blocks);
}

void WindowRows::clear() {
  for (Entry& one : entries_) one = {};
  passed_.clear();
  kept_.clear();
  blocks_ = windows_ = 0;
  given_back_ = {};
}

bool WindowRows::room_for(BlockId block) const {
  if (!exist()) return true;
  const Entry& one = entry(block);
  const std::uint64_t lacks = (one.backed ? 0 : options_.full_bytes) + (one.held ? 0 : options_.window_bytes);
  return taken() + lacks <= options_.pool_bytes;
}

void WindowRows::hold(BlockId block) {
  Entry& one = entry(block);
  if (!std::exchange(one.backed, true)) ++blocks_;
  if (!std::exchange(one.held, true)) ++windows_;
}

void WindowRows::grant(BlockId block) {
  if (!exist()) return;
  hold(block);
  Entry& one = entry(block);
  one.whole = false;
  one.hits = 0;
  one.users = 1;
}

void WindowRows::exchange(BlockId unused, BlockId block) {
  if (!exist()) return;
  Entry& one = entry(block);
  if (!one.held) {
    give_back_window(unused);
    hold(block);
  }
  unlist(one);
  ++one.users;
  ++one.refills;
}

void WindowRows::use(BlockId block) {
  if (!exist()) return;
  Entry& one = entry(block);
  if (!one.whole) throw std::logic_error("block " + std::to_string(block) + " has no window rows, and was matched");
  unlist(one);
  ++one.users;
  want(block);
}

void WindowRows::want(BlockId block) {
  if (exist() && entry(block).hits < kManyHits) ++entry(block).hits;
}

void WindowRows::leave(BlockId block, bool indexed, bool wanted) {
  if (!exist()) return;
  Entry& one = entry(block);
  if (one.users == 0) throw std::logic_error("block " + std::to_string(block) + " was left by more than had it");
  if (--one.users > 0) return;
  if (!indexed || !one.whole) return give_back_window(block);
  wait_in(wanted || one.hits >= kManyHits ? kept_ : passed_, block);
}

void WindowRows::fill(BlockId block) {
  if (exist()) entry(block).whole = true;
}

void WindowRows::forget(BlockId block) {
  if (!exist()) return;
  Entry& one = entry(block);
  unlist(one);
  one.whole = false;
  one.hits = 0;
  one.users = 0;
}

void WindowRows::give_back_window(BlockId block) {
  Entry& one = entry(block);
  unlist(one);
  one.whole = false;
  if (!std::exchange(one.held, false)) return;
  --windows_;
  given_back_.windows.push_back(block);
  given_back_.refills.push_back(one.refills);
}

void WindowRows::give_back_block(BlockId block) {
  Entry& one = entry(block);
  unlist(one);
  one.whole = false;
  if (std::exchange(one.held, false)) --windows_;
  if (std::exchange(one.backed, false)) --blocks_;
  given_back_.blocks.push_back(block);
}

bool WindowRows::give_back(List& list) {
  if (list.empty()) return false;
  give_back_window(list.front());
  return true;
}

void WindowRows::wait_in(List& list, BlockId block) {
  Entry& one = entry(block);
  one.list = &list;
  one.place = list.insert(list.end(), block);
}

void WindowRows::unlist(Entry& one) {
  if (one.list != nullptr) one.list->erase(one.place);
  one.list = nullptr;
}

GivenBack WindowRows::take_given_back() { return std::exchange(given_back_, {}); }

std::string WindowRows::check(std::span<const char> indexed, std::span<const std::uint32_t> references) const {
  if (!exist()) return "";
  std::uint64_t backed = 0, held = 0, listed = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& one = entries_[i];
    const std::string name = "block " + std::to_string(i);
    backed += one.backed ? 1 : 0;
    held += one.held ? 1 : 0;
    listed += one.list != nullptr ? 1 : 0;
    if (one.held && !one.backed) return name + " has memory for its window rows alone";
    if (one.whole && !one.held) return name + " has whole window rows without memory";
    if (one.users > references[i]) return name + " has window rows for more than refer to it";
    if (one.users > 0 && !one.held) return name + " lacks the window rows that somebody needs";
    const bool waits = indexed[i] != 0 && one.held && one.users == 0;
    if ((one.list != nullptr) != waits) return name + " waits to give its window rows back, or should";
  }
  if (backed != blocks_ || held != windows_) return "blocks with memory were miscounted";
  if (listed != passed_.size() + kept_.size()) return "the lists have more window rows than wait";
  if (taken() > options_.pool_bytes) return "the blocks take more memory than the pool has";
  return "";
}

}  // namespace headwater::cache
