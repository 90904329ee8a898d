#include "tools/cachesim/trace_parts.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

namespace headwater::cachesim {
namespace {

/// These requests, in this order.
Trace select(const Trace& trace, std::span<const std::size_t> requests) {
  Trace selected;
  std::vector<TokenId> numbers(trace.distinct_blocks, -1);
  std::vector<TimeNs> times;
  for (const std::size_t r : requests) times.push_back(trace.requests[r].at);
  std::ranges::sort(times);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    TraceRequest request{times[i], trace.requests[requests[i]].blocks};
    for (TokenId& block : request.blocks) {
      TokenId& number = numbers[static_cast<std::size_t>(block)];
      if (number < 0) number = static_cast<TokenId>(selected.distinct_blocks++);
      block = number;
    }
    selected.total_blocks += request.blocks.size();
    selected.requests.push_back(std::move(request));
  }
  return selected;
}

std::vector<std::size_t> numbers(std::size_t from, std::size_t to) {
  std::vector<std::size_t> all(to - from);
  std::iota(all.begin(), all.end(), from);
  return all;
}

}  // namespace

Trace part_of(const Trace& trace, Part part) {
  const std::size_t half = trace.requests.size() / 2;
  if (part == Part::first) return select(trace, numbers(0, half));
  if (part == Part::second) return select(trace, numbers(half, trace.requests.size()));
  return trace;
}

Trace reversed(const Trace& trace) {
  auto order = numbers(0, trace.requests.size());
  std::ranges::reverse(order);
  return select(trace, order);
}

Trace every(const Trace& trace, std::size_t n, std::size_t first) {
  std::vector<std::size_t> order;
  for (std::size_t r = first; r < trace.requests.size(); r += n) order.push_back(r);
  return select(trace, order);
}

std::vector<NamedTrace> variants(const Trace& trace, Part part) {
  Trace judged = part_of(trace, part);
  Trace backwards = reversed(judged), half = every(judged, 2), quarter = every(judged, 4);
  std::vector<NamedTrace> all;
  all.push_back({"published", std::move(judged)});
  all.push_back({"published_reversed", std::move(backwards)});
  all.push_back({"published_half", std::move(half)});
  all.push_back({"published_quarter", std::move(quarter)});
  return all;
}

}  // namespace headwater::cachesim
