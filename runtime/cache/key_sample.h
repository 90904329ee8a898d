#pragma once
// A sample of blocks, chosen by their keys, that stands for all. Source: Waldspurger et al., "Efficient MRC
// Construction with SHARDS", FAST 2015, with a fixed rate and the correction of its section 4.

#include <algorithm>
#include <cstdint>

namespace headwater::cache {

class KeySample {
 public:
  /// `rate`: of the keys, all at most.
  explicit KeySample(double rate) : rate_(std::min(rate, 1.0)) {}

  double rate() const { return rate_; }
  bool has(std::uint64_t key) const {
    if (rate_ >= 1) return true;
    key = (key ^ (key >> 32)) * 0x9E3779B97F4A7C15ULL;  // not the bits that choose a place in a table
    return static_cast<double>(key >> 11) * 0x1p-53 < rate_;
  }
  /// What the hits in the sample, of so many wanted in it, say of all that were wanted; 0 if none were.
  double share(double hits, double sampled, double wanted) const {
    // Popular blocks may be in the sample more or less often than their share: what is amiss hits at any size.
    const double expected = wanted * rate_;
    return expected > 0 ? std::clamp((hits + expected - sampled) / expected, 0.0, 1.0) : 0;
  }

 private:
  double rate_;
};

}  // namespace headwater::cache
