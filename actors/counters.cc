#include "actors/counters.h"

#include <optional>
#include <type_traits>

namespace headwater::actors {
namespace {

template <class Number>
requires std::is_arithmetic_v<Number>
void add_to(Number& whole, Number part) { whole += part; }

template <std::size_t n>
void add_to(std::array<std::uint64_t, n>& whole, const std::array<std::uint64_t, n>& part) {
  for (std::size_t i = 0; i < n; ++i) whole[i] += part[i];
}

void add_to(std::vector<std::uint64_t>& whole, const std::vector<std::uint64_t>& part) {
  if (whole.size() < part.size()) whole.resize(part.size());
  for (std::size_t i = 0; i < part.size(); ++i) whole[i] += part[i];
}

/// There is one tier, and one stage that knows of it.
void add_to(std::optional<TierStats>& whole, const std::optional<TierStats>& part) {
  if (part) whole = part;
}

}  // namespace

void add(Stats& whole, const Stats& part) {
  visit_counters([&](auto member) { add_to(whole.*member, part.*member); });
}

}  // namespace headwater::actors
