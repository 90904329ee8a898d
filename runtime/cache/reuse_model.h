#pragma once
// Learns, for each kind of block, how soon it is used again, and what it is worth to hold one a while longer.
//
// Age is what came to pass since a block's last use, in references to blocks of the cache: no unit of time, so the same
// holds for a busy server and an idle one. For each kind and each span of ages the model counts reuses and the time
// that blocks were watched at that age; their ratio is the hazard of being used again. A kind is a class and a trait.
// What a trait does to the hazard is learnt from all classes together, so that a kind of which little was seen is
// judged by what is known of its class and of its trait. How much that counts follows from how far classes, traits and
// kinds differ beyond chance: where they do not, age alone decides.
//
// The worth of a block is its best rate of hits per time held, over all times for which it could be held from now on:
// Gittins' index. Source: J. Gittins, "Bandit Processes and Dynamic Allocation Indices", 1979; for caches, with
// eviction ages in place of the best time, Beckmann et al., "LHD: Improving Cache Hit Rate by Maximizing Hit Density",
// NSDI 2018. Threading: one caller at a time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace headwater::cache {

class ReuseModel {
 public:
  /// Kind number: class × `traits` + trait. `capacity`: blocks of the cache; ages are told apart from a 64th of it up
  /// to some hundred times it.
  ReuseModel(std::uint32_t classes, std::uint32_t traits, std::uint32_t capacity);

  /// A block of the kind was used again at that age.
  void reused(std::uint32_t kind, std::uint64_t age);
  /// So many blocks of the kind went from one age to another and were not used between. Where `to` is less, takes back
  /// as much.
  void watched(std::uint32_t kind, std::uint64_t from, std::uint64_t to, double blocks = 1);

  /// Takes what was told into the worths, and gives what was told before `decay` of its weight, in (0, 1].
  void learn(double decay);

  /// Expected hits a reference, of a block of that kind and age. Rises with age up to some age and falls from there on.
  double worth(std::uint32_t kind, std::uint64_t age) const;

  void reset();

 private:
  static constexpr std::size_t kSpans = 30;  ///< of ages; each begins at the square root of two times the last one's

  struct Cell {
    double reuses = 0;
    double time = 0;  ///< references for which blocks were watched
  };
  using Cells = std::array<Cell, kSpans>;
  using Rates = std::array<double, kSpans>;  ///< a span each

  /// Where an age is on the scale of spans, with its fraction.
  double position(std::uint64_t age) const;
  std::size_t span(std::uint64_t age) const { return static_cast<std::size_t>(position(age)); }

  std::vector<Rates> class_hazards() const;
  void apply_traits(std::vector<Rates>& hazards) const;
  void apply_kinds(std::vector<Rates>& hazards) const;
  double together() const { return (reuses_ + 1) / (events_ + 1); }
  Rates worths_of(const Rates& hazard) const;

  std::uint32_t traits_;
  double unit_;
  std::array<double, kSpans + 1> begins_{};
  std::vector<Cells> counts_;  ///< of each kind
  std::vector<Rates> worths_;
  // Blocks of a chain are used again together, which is one event.
  double reuses_ = 0, events_ = 0;
  std::uint32_t last_kind_ = 0;
  std::uint64_t last_age_ = 0;
};

}  // namespace headwater::cache
