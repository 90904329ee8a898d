#pragma once
// Holds the adaptive policy against the simple ones, by keys alone (cache::MiniatureCache), which is a good deal faster
// than replay() and gives the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

inline constexpr unsigned kTuneSeed = 1;   ///< the policy's constants were chosen with it in view
inline constexpr unsigned kJudgeSeed = 2;  ///< and not with this one
inline constexpr double kJudgedSizes[] = {0.01, 0.03, 0.1, 0.3};  ///< of the trace's distinct blocks

/// Hits of all requested blocks, 0 to 1, of one trace.
struct Verdict {
  std::uint32_t capacity = 0;
  std::uint64_t blocks = 0;  ///< that requests want
  double lru = 0, fifo = 0, lfu = 0, adaptive = 0;

  double best_simple() const;
  double advantage() const { return adaptive - best_simple(); }
  /// Hits of the adaptive policy above what cache::LruGuard says they are at least.
  double above_law() const;
  /// The share of LRU's hits that the adaptive policy lacks; 0 where it lacks none.
  double below_lru() const;
};

/// REQUIRES: a trace with blocks. `size`: the cache's, of the distinct blocks.
Verdict judge(const Trace& trace, double size);

/// A key for a block's number, spread over all 64 bits as keys of blocks are.
std::uint64_t key_of(TokenId block);

/// REQUIRES: a policy that cache::make_policy() knows.
double hit_rate(const Trace& trace, std::string_view policy, std::uint32_t capacity);

/// Sums up verdicts of many traces, each of which counts as much as another.
class Summary {
 public:
  void add(const Verdict& verdict);

  std::size_t judged() const { return judged_; }
  /// Means of what was added. REQUIRES: something was.
  double lru() const { return mean(lru_); }
  double fifo() const { return mean(fifo_); }
  double lfu() const { return mean(lfu_); }
  double adaptive() const { return mean(adaptive_); }
  double advantage() const { return mean(advantage_); }  ///< over the best simple policy of each trace
  double most_below_lru() const { return most_below_; }
  std::size_t below_law() const { return below_law_; }  ///< how many are

 private:
  double mean(double sum) const { return sum / static_cast<double>(judged_); }

  std::size_t judged_ = 0, below_law_ = 0;
  double lru_ = 0, fifo_ = 0, lfu_ = 0, adaptive_ = 0, advantage_ = 0, most_below_ = 0;
};

}  // namespace headwater::cachesim
