#pragma once
// How a row is rounded in groups, for kernels of different instruction sets.

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/grouped_product.h"

// What is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

/// The least and the greatest of a group's values and 0; NaN if one is not finite.
struct Ends {
  float low, high;
};

/// The sums of a group's first 16 and last 16 codes.
struct CodeSums {
  int first, last;
};
/// Those of codes and rests.
struct RoundedSums {
  CodeSums codes, rests;
};

/// ends_of(x) gives Ends of a group. round(x, scale, wide, codes, rests) stores 32 codes and, where the
/// group is wide, rests, and gives RoundedSums.
template <class FindEnds, class Round>
[[gnu::always_inline]] inline void round_groups(const float* x, const GroupedRows& into, std::size_t row,
                                                const FindEnds& ends_of, const Round& round) {
  const std::size_t first_place = into.place(row, 0);
  GroupTerms* const terms = into.terms + first_place;
  double squares = 0;
  for (std::size_t g = 0; g < into.groups; ++g) {
    const Ends ends = ends_of(x + g * kGroup);
    terms[g * into.height].step = ends.low;  // to be found again
    terms[g * into.height].start = __builtin_bit_cast(std::int32_t, ends.high);
    const double width = ends.high - ends.low;
    squares += width * width;
  }
  std::uint64_t* const wide = into.wide + row * into.wide_words();
  for (std::size_t i = 0; i < into.wide_words(); ++i) wide[i] = 0;
  for (std::size_t g = 0; g < into.groups; ++g) {
    GroupTerms& made = terms[g * into.height];
    const auto high = __builtin_bit_cast(float, made.start);
    const double width = high - made.step;
    const GroupScale8 scale = group_scale(made.step, high);
    const bool is_wide = width * width * static_cast<double>(into.groups) > kWide * squares;
    if (is_wide) wide[g / 64] |= std::uint64_t{1} << g % 64;
    const std::size_t place = (first_place + g * into.height) * kGroup;
    const RoundedSums sums = round(x + g * kGroup, scale, is_wide, into.codes + place, into.rests + place);
    made = GroupTerms::of(scale.step, scale.centre, sums.codes.first, sums.codes.last);
    if (is_wide) {
      into.rest_terms[place / kGroup] = GroupTerms::of(scale.step / 256, 0, sums.rests.first, sums.rests.last);
    }
  }
}

}  // namespace headwater::kernels::cpu
