#pragma once
// Kinds of work that a prefix cache may meet, as traces made from a seed. Policies are tuned on odd seeds and judged on
// even ones.

#include <span>

#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

struct Family {
  const char* name;
  const char* what;
  Trace (*make)(unsigned seed);
};

std::span<const Family> families();

// By what they are made of.
std::span<const Family> chat_families();
std::span<const Family> agent_families();
std::span<const Family> document_families();
std::span<const Family> popularity_families();
std::span<const Family> mixed_families();

}  // namespace headwater::cachesim
