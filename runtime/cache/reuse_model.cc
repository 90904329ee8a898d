#include "cache/reuse_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace headwater::cache {
namespace {

/// What all classes together say counts in each as much as this many reuses of its own: little, as classes differ.
constexpr double kTrustInAll = 1;
/// Of the hazard, from one span of ages to the next, where nothing else is known.
constexpr double kFall = 0.6;

}  // namespace

ReuseModel::ReuseModel(std::uint32_t classes, std::uint32_t capacity)
    : unit_(std::max(capacity / 64.0, 1.0)), counts_(classes), worths_(classes) {
  for (int i = 1; i <= kSpans; ++i) begins_[static_cast<std::size_t>(i)] = unit_ * std::exp2((i - 1) / 2.0);
  learn(1);
}

double ReuseModel::position(std::uint64_t age) const {
  const double units = static_cast<double>(age) / unit_;
  if (units < 1) return units;
  return std::min(1 + 2 * std::log2(units), kSpans - 1.0);
}

void ReuseModel::watched(std::uint32_t block_class, std::uint64_t from, std::uint64_t to) {
  const double sign = to < from ? -1 : 1;
  if (to < from) std::swap(from, to);
  double age = static_cast<double>(from);
  const auto end = static_cast<double>(to);
  for (auto i = static_cast<std::size_t>(span(from)); age < end; ++i) {
    const double next = i + 1 < kSpans ? std::min(end, begins_[i + 1]) : end;
    counts_[block_class][i].time += sign * std::max(next - age, 0.0);
    age = std::max(next, age);
  }
}

void ReuseModel::learn(double decay) {
  Spans all{};
  for (Spans& spans : counts_) {
    for (std::size_t i = 0; i < kSpans; ++i) {
      spans[i].reuses *= decay;
      spans[i].time *= decay;
      all[i].reuses += spans[i].reuses;
      all[i].time += spans[i].time;
    }
  }
  // Where little was seen yet, the hazard is expected to fall with age, which is LRU: hope for reuse at ages that
  // nothing ever reached would keep what is oldest.
  std::array<double, kSpans> typical{};
  double before = 1 / unit_;
  for (std::size_t i = 0; i < kSpans; ++i) {
    typical[i] = (all[i].reuses + 1) / (all[i].time + 1 / (before * kFall));
    before = typical[i];
  }
  for (std::size_t c = 0; c < counts_.size(); ++c) worths_[c] = worths_of(counts_[c], typical);
}

ReuseModel::Worths ReuseModel::worths_of(const Spans& spans, const std::array<double, kSpans>& typical) const {
  std::array<double, kSpans> reuse{};  // the chance to be used again within a span, of what enters it
  std::array<double, kSpans> stay{};   // the mean time that a block is held in it
  std::array<double, kSpans> hazard{};
  for (std::size_t i = 0; i < kSpans; ++i) {
    const double width = begins_[i + 1] - begins_[i];
    hazard[i] = (spans[i].reuses + kTrustInAll) / (spans[i].time + kTrustInAll / typical[i]);
    reuse[i] = -std::expm1(-hazard[i] * width);
    stay[i] = reuse[i] / hazard[i];
  }
  Worths worths{};
  for (std::size_t from = 0; from < kSpans; ++from) {
    double left = 1, hits = 0, time = 0;
    for (std::size_t i = from; i < kSpans; ++i) {
      hits += left * reuse[i];
      time += left * stay[i];
      left *= 1 - reuse[i];
      worths[from] = std::max(worths[from], hits / time);
    }
  }
  return worths;
}

double ReuseModel::worth(std::uint32_t block_class, std::uint64_t age) const {
  const Worths& worths = worths_[block_class];
  const double place = position(age);
  const auto i = static_cast<std::size_t>(place);
  const double next = i + 1 < kSpans ? worths[i + 1] : worths[i];
  return worths[i] + (place - std::floor(place)) * (next - worths[i]);
}

void ReuseModel::reset() {
  std::fill(counts_.begin(), counts_.end(), Spans{});
  learn(1);
}

}  // namespace headwater::cache
