#include "tools/headwater/cachesim_families.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <initializer_list>

#include "tools/cachesim/families.h"
#include "tools/headwater/eval.h"

namespace headwater::tools {
namespace {

using cachesim::Summary;

std::string line_of(const std::string& name, const std::string& size, std::initializer_list<double> rates) {
  std::array<char, 64> cell{};
  std::snprintf(cell.data(), cell.size(), "%-20s %5s", name.c_str(), size.c_str());
  std::string line = cell.data();
  for (const double rate : rates) line += column(rate, 4, 9);
  return line + "\n";
}

std::string size_text(double size) { return std::to_string(std::lround(100 * size)) + "%"; }

/// Means of some traces: of each size, and of all.
class Means {
 public:
  void add(std::size_t size, const cachesim::Verdict& verdict) {
    by_size_[size].add(verdict);
    all_.add(verdict);
  }

  void print_as(const std::string& name) const {
    for (std::size_t s = 0; s < by_size_.size(); ++s) {
      print_line(name, size_text(cachesim::kJudgedSizes[s]), by_size_[s]);
    }
    print_line(name, "all", all_);
  }
  const Summary& all() const { return all_; }

 private:
  static void print_line(const std::string& name, const std::string& size, const Summary& mean) {
    print(line_of(name, size,
                  {mean.lru(), mean.fifo(), mean.lfu(), mean.adaptive(), mean.advantage(), mean.most_below_lru()}));
  }

  std::array<Summary, std::size(cachesim::kJudgedSizes)> by_size_;
  Summary all_;
};

void judge_into(Means& means, const std::string& name, const cachesim::Trace& trace) {
  for (std::size_t s = 0; s < std::size(cachesim::kJudgedSizes); ++s) {
    const cachesim::Verdict verdict = cachesim::judge(trace, cachesim::kJudgedSizes[s]);
    print(
        line_of(name, size_text(cachesim::kJudgedSizes[s]),
                {verdict.lru, verdict.fifo, verdict.lfu, verdict.adaptive, verdict.advantage(), verdict.below_lru()}));
    means.add(s, verdict);
  }
}

const char* text_of(cachesim::Part part) {
  if (part == cachesim::Part::whole) return "whole traces";
  return part == cachesim::Part::first ? "the first half of each trace" : "the second half of each trace";
}

}  // namespace

int judge_families(const FamiliesOptions& options) {
  Means families, published;
  print("hit rate by kind of work and the cache's size: seed " + std::to_string(options.seed) + ", " +
        text_of(options.part) + "\n");
  print("trace                 size       lru      fifo       lfu  adaptive over best below lru\n");
  for (const cachesim::Family& family : cachesim::families()) {
    judge_into(families, family.name, cachesim::part_of(family.make(options.seed), options.part));
  }
  if (options.published != nullptr) {
    for (const auto& [name, trace] : cachesim::variants(*options.published, options.part)) {
      if (trace.total_blocks == 0) return fail("the trace has too few requests to be judged by a part of it");
      judge_into(published, name, trace);
    }
  }
  print(
      "\nmeans; over best: over the best simple policy of each trace; below lru: the most, as a share of LRU's hits\n");
  families.print_as("families");
  if (options.published != nullptr) published.print_as("published");
  const std::size_t below = families.all().below_law() + published.all().below_law();
  const std::size_t judged = families.all().judged() + published.all().judged();
  print("\nfewer hits than the law allows: " + std::to_string(below) + " of " + std::to_string(judged) + "\n");
  return below == 0 ? 0 : 1;
}

}  // namespace headwater::tools
