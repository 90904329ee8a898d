#pragma once
// Learns, for each class of blocks, how soon they are used again, and what it is worth to hold one a while longer.
//
// Age is what came to pass since a block's last use, in references to blocks of the cache: no unit of time, so the same
// holds for a busy server and an idle one. For each class and each span of ages the model counts reuses and the time
// that blocks were watched at that age; their ratio is the hazard of being used again. The worth of a block is its best
// rate of hits per time held, over all times for which it could be held from now on: Gittins' index.
// Source: J. Gittins, "Bandit Processes and Dynamic Allocation Indices", 1979; for caches, with eviction ages in place
// of the best time, Beckmann et al., "LHD: Improving Cache Hit Rate by Maximizing Hit Density", NSDI 2018.

#include <array>
#include <cstdint>
#include <vector>

namespace headwater::cache {

class ReuseModel {
 public:
  /// `capacity`: blocks of the cache; ages are told apart from a 64th of it up to some hundred times it.
  ReuseModel(std::uint32_t classes, std::uint32_t capacity);

  /// A block of the class was used again at that age.
  void reused(std::uint32_t block_class, std::uint64_t age) { at(block_class, age).reuses += 1; }
  /// A block of the class went from one age to another and was not used between. Where `to` is less, takes back as
  /// much.
  void watched(std::uint32_t block_class, std::uint64_t from, std::uint64_t to);

  /// Takes what was told into the worths, and gives what was told before `decay` of its weight, in (0, 1].
  void learn(double decay);

  /// Expected hits a reference, of a block of that class and age.
  double worth(std::uint32_t block_class, std::uint64_t age) const;

  void reset();

 private:
  static constexpr int kSpans = 30;  ///< of ages; each begins at the square root of two times the last one's begin

  struct Cell {
    double reuses = 0;
    double time = 0;  ///< references for which blocks were watched
  };
  using Spans = std::array<Cell, kSpans>;
  using Worths = std::array<double, kSpans>;

  /// Where an age is on the scale of spans, with its fraction.
  double position(std::uint64_t age) const;
  int span(std::uint64_t age) const { return static_cast<int>(position(age)); }
  Cell& at(std::uint32_t block_class, std::uint64_t age) {
    return counts_[block_class][static_cast<std::size_t>(span(age))];
  }
  Worths worths_of(const Spans& spans, const std::array<double, kSpans>& typical) const;

  double unit_;
  std::array<double, kSpans + 1> begins_{};
  std::vector<Spans> counts_;
  std::vector<Worths> worths_;
};

}  // namespace headwater::cache
