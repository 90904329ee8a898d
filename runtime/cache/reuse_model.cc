#include "cache/reuse_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace headwater::cache {
namespace {

// How far what is known of many may differ from what holds for few, by kind of difference: see trust().
constexpr double kClassesDiffer = 0.06;
constexpr double kTraitsDiffer = 1.6;
constexpr double kKindsDiffer = 5;
/// Of the hazard, from one span of ages to the next, where nothing else is known.
constexpr double kFall = 0.6;

/// What few reuses were seen of and how many were expected from what is known of many.
struct Comparison {
  double seen = 0, expected = 0;
};

/// How much what is known of many shall count beside what was seen of few, in reuses: the less, the more they differ
/// beyond chance. `together`: reuses of which each is one chance. Source of the spread: the method of moments for rates
/// that vary, such as H. Robbins, "The Empirical Bayes Approach to Statistical Decision Problems", 1964.
double trust(const std::vector<Comparison>& all, double together, double differ) {
  double excess = 0, weight = 0, seen = 0;
  for (const Comparison& one : all) {
    excess += (one.seen - one.expected) * (one.seen - one.expected) - together * one.expected;
    weight += one.expected * one.expected;
    seen += one.seen;
  }
  // Where hardly anything was seen, nothing can be known to be alike.
  const double most = 1 + seen / 20;
  if (excess <= 0) return most;
  const double similarity = differ * weight / excess;  // excess / weight: the variance of true rates over expected ones
  return std::clamp(together * similarity * similarity, 1e-6, most);
}

}  // namespace

ReuseModel::ReuseModel(std::uint32_t classes, std::uint32_t traits, std::uint32_t capacity)
    : traits_(traits),
      unit_(std::max(capacity / 64.0, 1.0)),
      counts_(std::size_t{classes} * traits),
      worths_(counts_.size()) {
  for (std::size_t i = 1; i <= kSpans; ++i) begins_[i] = unit_ * std::exp2((static_cast<double>(i) - 1) / 2);
  learn(1);
}

double ReuseModel::position(std::uint64_t age) const {
  const double units = static_cast<double>(age) / unit_;
  if (units < 1) return units;
  return std::min(1 + 2 * std::log2(units), kSpans - 1.0);
}

void ReuseModel::watched(std::uint32_t kind, std::uint64_t from, std::uint64_t to, double blocks) {
  if (to < from) {
    std::swap(from, to);
    blocks = -blocks;
  }
  double age = static_cast<double>(from);
  const auto end = static_cast<double>(to);
  for (std::size_t i = span(from); age < end; ++i) {
    const double next = i + 1 < kSpans ? std::min(end, begins_[i + 1]) : end;
    counts_[kind][i].time += blocks * std::max(next - age, 0.0);
    age = std::max(next, age);
  }
}

void ReuseModel::reused(std::uint32_t kind, std::uint64_t age) {
  constexpr std::uint64_t kNear = 3;
  counts_[kind][span(age)].reuses += 1;
  reuses_ += 1;
  if (kind != last_kind_ || age > last_age_ + kNear || last_age_ > age + kNear) events_ += 1;
  last_kind_ = kind;
  last_age_ = age;
}

void ReuseModel::learn(double decay) {
  reuses_ *= decay;
  events_ *= decay;
  for (Cells& cells : counts_) {
    for (Cell& cell : cells) {
      cell.reuses *= decay;
      cell.time *= decay;
    }
  }
  std::vector<Rates> hazards = class_hazards();
  apply_traits(hazards);
  apply_kinds(hazards);
  for (std::size_t kind = 0; kind < counts_.size(); ++kind) worths_[kind] = worths_of(hazards[kind]);
}

/// For each kind, the hazards of its class.
std::vector<ReuseModel::Rates> ReuseModel::class_hazards() const {
  Cells all{};
  std::vector<Cells> classes(counts_.size() / traits_);
  for (std::size_t kind = 0; kind < counts_.size(); ++kind) {
    for (std::size_t i = 0; i < kSpans; ++i) {
      for (Cell* sum : {&all[i], &classes[kind / traits_][i]}) {
        sum->reuses += counts_[kind][i].reuses;
        sum->time += counts_[kind][i].time;
      }
    }
  }
  // Where little was seen yet, the hazard is expected to fall with age, which is LRU: hope for reuse at ages that
  // nothing ever reached would keep what is oldest.
  Rates typical{};
  double before = 1 / unit_;
  for (std::size_t i = 0; i < kSpans; ++i) {
    typical[i] = (all[i].reuses + 1) / (all[i].time + 1 / (before * kFall));
    before = typical[i];
  }
  std::vector<Comparison> compared;
  for (const Cells& cells : classes) {
    for (std::size_t i = 0; i < kSpans; ++i) compared.push_back({cells[i].reuses, cells[i].time * typical[i]});
  }
  const double in_all = trust(compared, together(), kClassesDiffer);
  std::vector<Rates> hazards(counts_.size());
  for (std::size_t kind = 0; kind < counts_.size(); ++kind) {
    for (std::size_t i = 0; i < kSpans; ++i) {
      const Cell& seen = classes[kind / traits_][i];
      hazards[kind][i] = (seen.reuses + in_all) / (seen.time + in_all / typical[i]);
    }
  }
  return hazards;
}

/// Multiplies the hazards of all kinds with a trait by how far its reuses differ from what they would be without it: at
/// each age with those beside it, and where there are few by all ages together.
void ReuseModel::apply_traits(std::vector<Rates>& hazards) const {
  std::vector<Comparison> compared(traits_ * kSpans);  // spans of a trait, one trait after the other
  for (std::size_t kind = 0; kind < counts_.size(); ++kind) {
    for (std::size_t i = 0; i < kSpans; ++i) {
      Comparison& sum = compared[kind % traits_ * kSpans + i];
      sum.seen += counts_[kind][i].reuses;
      sum.expected += counts_[kind][i].time * hazards[kind][i];
    }
  }
  const double in_none = trust(compared, together(), kTraitsDiffer);
  for (std::size_t trait = 0; trait < traits_; ++trait) {
    const auto sum = [&](std::size_t from, std::size_t to) {
      Comparison of;
      for (std::size_t i = from; i < to; ++i) {
        of.seen += compared[trait * kSpans + i].seen;
        of.expected += compared[trait * kSpans + i].expected;
      }
      return of;
    };
    const Comparison all = sum(0, kSpans);
    const double overall = (all.seen + in_none) / (all.expected + in_none);
    for (std::size_t i = 0; i < kSpans; ++i) {
      const Comparison near = sum(i > 0 ? i - 1 : 0, std::min(i + 2, kSpans));
      const double effect = (near.seen + in_none * overall) / (near.expected + in_none);
      for (std::size_t kind = trait; kind < hazards.size(); kind += traits_) hazards[kind][i] *= effect;
    }
  }
}

/// Gives each kind what was seen of itself.
void ReuseModel::apply_kinds(std::vector<Rates>& hazards) const {
  std::vector<Comparison> compared;
  for (std::size_t kind = 0; kind < counts_.size(); ++kind) {
    for (std::size_t i = 0; i < kSpans; ++i) {
      compared.push_back({counts_[kind][i].reuses, counts_[kind][i].time * hazards[kind][i]});
    }
  }
  const double in_expected = trust(compared, together(), kKindsDiffer);
  for (std::size_t kind = 0; kind < counts_.size(); ++kind) {
    for (std::size_t i = 0; i < kSpans; ++i) {
      double& hazard = hazards[kind][i];
      hazard = (counts_[kind][i].reuses + in_expected) / (counts_[kind][i].time + in_expected / hazard);
    }
  }
}

ReuseModel::Rates ReuseModel::worths_of(const Rates& hazard) const {
  Rates reuse{};  // the chance to be used again within a span, of what enters it
  Rates stay{};   // the mean time that a block is held in it
  for (std::size_t i = 0; i < kSpans; ++i) {
    const double width = begins_[i + 1] - begins_[i];
    reuse[i] = -std::expm1(-hazard[i] * width);
    stay[i] = reuse[i] / hazard[i];
  }
  // Held from each span on, until the end of another: all beginnings side by side, which is several times as fast.
  Rates worths{}, left{}, hits{}, time{};
  left.fill(1);
  for (std::size_t end = 0; end < kSpans; ++end) {
    for (std::size_t from = 0; from <= end; ++from) {
      hits[from] += left[from] * reuse[end];
      time[from] += left[from] * stay[end];
      left[from] *= 1 - reuse[end];
      const double rate = hits[from] / time[from];
      worths[from] = worths[from] < rate ? rate : worths[from];
    }
  }
  // Dips beside the peak are chance. Without them the least of a queue is at one of its ends.
  const auto peak = static_cast<std::size_t>(std::max_element(worths.begin(), worths.end()) - worths.begin());
  for (std::size_t i = 1; i < peak; ++i) worths[i] = std::max(worths[i], worths[i - 1]);
  for (std::size_t i = kSpans - 1; i-- > peak + 1;) worths[i] = std::max(worths[i], worths[i + 1]);
  return worths;
}

double ReuseModel::worth(std::uint32_t kind, std::uint64_t age) const {
  const Rates& worths = worths_[kind];
  const double place = position(age);
  const auto i = static_cast<std::size_t>(place);
  const double next = i + 1 < kSpans ? worths[i + 1] : worths[i];
  return worths[i] + (place - std::floor(place)) * (next - worths[i]);
}

void ReuseModel::reset() {
  std::fill(counts_.begin(), counts_.end(), Cells{});
  reuses_ = events_ = 0;
  learn(1);
}

}  // namespace headwater::cache
