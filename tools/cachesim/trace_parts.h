#pragma once
// Traces made from a trace: parts of it, and its requests in another order. Blocks are numbered anew, so a part's
// distinct blocks are its own. Chains stay whole: a block has the same blocks before it in any order.

#include <cstddef>
#include <vector>

#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

/// Which of a trace's requests a policy is tuned on or judged by.
enum class Part { whole, first, second };

/// The trace itself, or one half of its requests; of an odd number, the second half has one more.
Trace part_of(const Trace& trace, Part part);

/// The last request first, at the times of the first ones.
Trace reversed(const Trace& trace);

/// Every n-th request, from request number `first` on.
Trace every(const Trace& trace, std::size_t n, std::size_t first = 0);

struct NamedTrace {
  const char* name;
  Trace trace;
};

/// What a published trace is judged by: that part of it, the same backwards, and every second and fourth request of it.
std::vector<NamedTrace> variants(const Trace& trace, Part part);

}  // namespace headwater::cachesim
