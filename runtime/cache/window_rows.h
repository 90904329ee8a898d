#pragma once
// The books of what blocks take where some layers have a window: which blocks have memory, which of them memory for
// their window rows, and which of those nobody needs now. All of it stays within the pool's bytes.
//
// A sequence needs the window rows of its last blocks alone. Those before stay where they are as long as there is room,
// since another prompt may end in them: a prefix is a hit where the window rows before its end are whole. Given back
// are first those that a sequence has left behind as it went on, longest ago first, and those at the ends of sequences
// last.
//
// Where no layer has a window there is nothing to keep books of: every call does nothing, and there is room for all.
// Threading: one caller at a time.

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "cache/window.h"

namespace headwater::cache {

class WindowRows {
 public:
  WindowRows(const WindowOptions& options, std::uint32_t total_blocks);

  /// Whether some layer has a window.
  bool exist() const { return options_.tokens > 0; }

  // ---- what a sequence needs ----

  /// Whether the pool has room for what the block lacks: memory, or window rows.
  bool room_for(BlockId block) const;
  /// A block is granted, with all its rows, none of which is written. REQUIRES: room_for().
  void grant(BlockId block);
  /// A grant that was not used gives its memory for window rows to `block`, which keeps those that it has; a sequence
  /// needs them from now on.
  void exchange(BlockId unused, BlockId block);
  /// One more sequence needs them; it has matched them. REQUIRES: they are whole.
  void use(BlockId block);
  /// A prompt would have matched them, had they and those before them been there; or has.
  void want(BlockId block);
  /// A sequence needs them no longer. `indexed`: others may find the block. `wanted`: it has not gone on, but ended
  /// there, or somebody wants them kept.
  void leave(BlockId block, bool indexed, bool wanted);
  /// They are written.
  void fill(BlockId block);
  /// The block is indexed no longer, or nobody's. Its memory stays with it.
  void forget(BlockId block);
  /// Whether all are written. Where there is no window nothing is missing.
  bool whole(BlockId block) const { return !exist() || entry(block).whole; }

  // ---- making room ----

  /// The window rows that were left behind longest ago are given back. False: there are none.
  bool give_back_passed() { return give_back(passed_); }
  /// The same of those at the ends of sequences.
  bool give_back_kept() { return give_back(kept_); }
  /// The memory of a free block is given back.
  void give_back_block(BlockId block);
  /// Whether there is more room when the block is evicted.
  bool frees_memory(BlockId block) const { return options_.full_bytes > 0 || entry(block).held; }

  /// What is to go back to the system, since the last call.
  GivenBack take_given_back();

  // ---- to report ----

  KvBytes bytes() const { return {blocks_ * options_.full_bytes, windows_ * options_.window_bytes}; }

  void clear();
  /// Recounts. `indexed`, `users_at_most`: by block. Empty, or what is wrong.
  std::string check(std::span<const char> indexed, std::span<const std::uint32_t> references) const;

 private:
  using List = std::list<BlockId>;
  struct Entry {
    bool backed = false;  ///< has memory, but maybe for its window rows
    bool held = false;    ///< has memory for its window rows
    bool whole = false;   ///< they are written
    std::uint8_t hits = 0;
    std::uint32_t users = 0;
    std::uint32_t refills = 0;
    List* list = nullptr;  ///< where it waits to be given back
    List::iterator place{};
  };

  std::uint64_t taken() const { return bytes().full + bytes().window; }
  Entry& entry(BlockId block) { return entries_[static_cast<std::size_t>(block)]; }
  const Entry& entry(BlockId block) const { return entries_[static_cast<std::size_t>(block)]; }
  void hold(BlockId block);
  void give_back_window(BlockId block);
  bool give_back(List& list);
  void wait_in(List& list, BlockId block);
  void unlist(Entry& one);

  WindowOptions options_;
  std::vector<Entry> entries_;
  List passed_, kept_;                      ///< longest unused first
  std::uint64_t blocks_ = 0, windows_ = 0;  ///< with memory; with memory for window rows
  GivenBack given_back_;
};

}  // namespace headwater::cache
