#pragma once
// One bound for what all connections together keep in memory for their peers: bodies and messages that are being
// read, and answers that have not been taken.
//
// Threading: every member of every class may be called from any thread; those of one account not at the same time.

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>

#include "headwater/result.h"

namespace headwater::gateway {

class BufferAccount;

class BufferBudget {
 public:
  using Clock = std::chrono::steady_clock;

  explicit BufferBudget(std::uint64_t limit) : limit_(limit) {}

  std::uint64_t limit() const { return limit_; }
  std::uint64_t used() const;

 private:
  friend class BufferAccount;
  /// The account to shed where there is too much: of those that have taken nothing for a while, or else of all,
  /// the one with most unsent. Null: enough was told to go. REQUIRES: the lock is held.
  BufferAccount* too_much(Clock::time_point now);

  const std::uint64_t limit_;
  mutable std::mutex mutex_;
  std::uint64_t used_ = 0;
  std::uint64_t going_ = 0;  ///< of those that were told to go
  std::unordered_set<BufferAccount*> accounts_;
};

/// What one connection keeps.
class BufferAccount {
 public:
  /// `shed` is called, on any thread and with a lock held, where this connection must end because its unsent bytes
  /// are the most: it posts, and returns.
  BufferAccount(BufferBudget& budget, std::function<void()> shed);
  ~BufferAccount();
  BufferAccount(const BufferAccount&) = delete;
  BufferAccount& operator=(const BufferAccount&) = delete;

  /// Input: `bytes` are kept now, in place of those before. An error: there is no room, and nothing has changed.
  Result<void> keep_input(std::uint64_t bytes);
  /// Output: `bytes` are unsent now, in place of those before. Where that is too much, somebody is told to go.
  void keep_output(std::uint64_t bytes);

 private:
  friend class BufferBudget;

  BufferBudget& budget_;
  const std::function<void()> shed_;
  std::uint64_t input_ = 0;
  std::uint64_t output_ = 0;
  BufferBudget::Clock::time_point taken_;  ///< when the output became less
  bool going_ = false;
};

/// An eighth of what the process may take (Runtime::memory_limit()), at least 64 MiB.
std::uint64_t default_buffer_limit();

}  // namespace headwater::gateway
