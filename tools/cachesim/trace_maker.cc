#include "tools/cachesim/trace_maker.h"

#include <algorithm>
#include <cmath>

namespace headwater::cachesim {

double TraceMaker::exponential(double mean) { return -mean * std::log(share()); }

double TraceMaker::lognormal(double median, double deviation) {
  double normal = -6;  // twelve numbers between 0 and 1 have a variance of 1
  for (int i = 0; i < 12; ++i) normal += share();
  return median * std::exp(deviation * normal);
}

std::size_t TraceMaker::popular(std::size_t n, double skew) {
  const auto count = static_cast<double>(n);
  const double at = share();
  const double rank = std::abs(skew - 1) < 1e-6 ? std::pow(count, at)
                                                : std::pow(1 + at * (std::pow(count, 1 - skew) - 1), 1 / (1 - skew));
  return std::min(static_cast<std::size_t>(rank), n) - 1;
}

Blocks TraceMaker::fresh(std::size_t n) {
  Blocks blocks;
  extend(blocks, n);
  return blocks;
}

std::vector<Blocks> TraceMaker::documents(std::size_t n, std::size_t least, std::size_t most) {
  std::vector<Blocks> all;
  while (all.size() < n) all.push_back(fresh(least + (most > least ? below(most - least + 1) : 0)));
  return all;
}

void TraceMaker::add(Blocks blocks) {
  trace_.total_blocks += blocks.size();
  trace_.requests.push_back({static_cast<TimeNs>(trace_.requests.size()) * 1'000'000, std::move(blocks)});
}

}  // namespace headwater::cachesim
