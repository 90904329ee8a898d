#pragma once
// Builds traces from a seed: the same on every machine.

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

using Blocks = std::vector<TokenId>;

class TraceMaker {
 public:
  explicit TraceMaker(unsigned seed) : random_(seed) {}

  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  double share() { return (below(1U << 20U) + 0.5) / (1U << 20U); }  ///< between 0 and 1
  /// Falls off exponentially.
  double exponential(double mean);
  /// The logarithm is normal, with that deviation; `median` in the middle.
  double lognormal(double median, double deviation);
  /// One of `n`: the first is the most popular, by 1/rank^skew.
  std::size_t popular(std::size_t n, double skew = 1);

  TokenId fresh() { return static_cast<TokenId>(trace_.distinct_blocks++); }
  Blocks fresh(std::size_t n);
  void extend(Blocks& blocks, std::size_t n) {
    while (n-- > 0) blocks.push_back(fresh());
  }
  /// `n` lists of `least` … `most` new blocks.
  std::vector<Blocks> documents(std::size_t n, std::size_t least, std::size_t most);

  void add(Blocks blocks);
  std::size_t requests() const { return trace_.requests.size(); }
  Trace finish() { return std::move(trace_); }

 private:
  std::mt19937 random_;
  Trace trace_;
};

}  // namespace headwater::cachesim
