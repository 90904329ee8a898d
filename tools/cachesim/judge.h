#pragma once
// Holds the adaptive policy against the simple ones, by keys alone (cache::MiniatureCache), which is a good deal faster
// than replay() and gives the same.

#include <cstdint>
#include <string_view>

#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

inline constexpr unsigned kTuneSeed = 1;   ///< the policy's constants were chosen with it in view
inline constexpr unsigned kJudgeSeed = 2;  ///< and not with this one
inline constexpr double kJudgedSizes[] = {0.01, 0.03, 0.1, 0.3};  ///< of the trace's distinct blocks

/// Hits of all requested blocks, 0 to 1.
struct Verdict {
  std::uint32_t capacity = 0;
  double lru = 0, fifo = 0, lfu = 0, adaptive = 0;
  double best_simple = 0;  ///< of lru, fifo and lfu

  double advantage() const { return adaptive - best_simple; }
  void add(const Verdict& other);
  void divide(double by);
};

Verdict judge(const Trace& trace, double size);

/// REQUIRES: a policy that cache::make_policy() knows.
double hit_rate(const Trace& trace, std::string_view policy, std::uint32_t capacity);

}  // namespace headwater::cachesim
