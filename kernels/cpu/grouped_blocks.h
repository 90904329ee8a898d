#pragma once
// What the kernels of grouped products have in common, whatever their vectors: how they walk through rows and groups.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/grouped_product.h"

// What is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

/// How many runs of quads of K a group has; those of a run share a factor.
template <PanelFormat kFormat>
constexpr int kRuns = kFormat == PanelFormat::sixes_two_factors ? 2 : 1;

/// What a group of a row adds to its dots is a sum of products of 16 bits: GroupTerms::sum with W at q = 0, and centre
/// with the mean of the weights. Of codes of 5 or 6 bits, W at q = 0 may have more bits, or is another one in each
/// half: with two factors it is multiplied with the sums of the halves; with one, half of -factor · 32 is, and the rest
/// of it with the sum.
template <PanelFormat kFormat>
constexpr bool kHasHalves = has_sixes(kFormat);

/// A group of rows that lie side by side.
struct Group {
  const std::int8_t* bytes;  ///< codes or rests
  const GroupTerms* terms;   ///< of these
};

/// Rows [row, row + N), which are in one block.
template <std::size_t N>
struct BlockRows {
  const GroupedRows& x;
  std::size_t row, first;  ///< the first row, and where its terms are
  [[gnu::always_inline]] BlockRows(const GroupedRows& x, std::size_t row) : x(x), row(row), first(x.place(row, 0)) {}

  [[gnu::always_inline]] Group codes(std::size_t g) const {
    const std::size_t place = first + g * x.height;
    return {x.codes + place * kGroup, x.terms + place};
  }
  /// Those of row r alone.
  [[gnu::always_inline]] Group rests(std::size_t g, std::size_t r) const {
    const std::size_t place = first + g * x.height + r;
    return {x.rests + place * kGroup, x.rest_terms + place};
  }
};

/// Calls take(g) for the groups that are wide in a row.
template <class Take>
[[gnu::always_inline]] inline void for_wide_groups(const GroupedRows& x, std::size_t row, const Take& take) {
  const std::uint64_t* wide = x.wide + row * x.wide_words();
  for (std::size_t word = 0; word < x.wide_words(); ++word) {
    for (std::uint64_t left = wide[word]; left != 0; left &= left - 1) {
      take(word * 64 + static_cast<std::size_t>(__builtin_ctzll(left)));
    }
  }
}

/// The same for rows [first, first + n) of a block that has a list: take(r, wide), r counted from `first`. In the order
/// of rows, and of groups in each.
template <class Take>
[[gnu::always_inline]] inline void for_listed_groups(const GroupedRows& x, std::size_t block, std::size_t first,
                                                     std::size_t n, const Take& take) {
  const WideGroup* listed = x.listed + block * x.height * x.most_wide();
  for (const WideGroup* const end = listed + x.n_listed[block]; listed != end; ++listed) {
    if (listed->row - first < n) take(listed->row - first, *listed);
  }
}

/// Calls take(r, g, rests) for the wide groups of rows: from the list of their block, where it has one.
template <std::size_t N, class Take>
[[gnu::always_inline]] inline void for_rests(const BlockRows<N>& rows, const Take& take) {
  const GroupedRows& x = rows.x;
  if (x.blocks() > 1) {
    return for_listed_groups(x, rows.row / x.height, rows.row % x.height, N, [&](std::size_t r, const WideGroup& wide) {
      take(r, wide.group, Group{wide.rests, &wide.terms});
    });
  }
  for (std::size_t r = 0; r < N; ++r) {
    for_wide_groups(x, rows.row + r, [&](std::size_t g) { take(r, g, rows.rests(g, r)); });
  }
}

template <std::size_t kCount>
using Count = std::integral_constant<std::size_t, kCount>;
/// Calls take(Count<N>()) with the most of kMost, 8, 4, 2 and 1 rows that are left, and gives N.
template <std::size_t kMost, class Take>
[[gnu::always_inline]] inline std::size_t take_rows(std::size_t left, const Take& take) {
  if constexpr (kMost > 1) {
    constexpr std::size_t kFewer = kMost > 8 ? 8 : kMost > 4 ? 4 : kMost > 2 ? 2 : 1;
    if (left < kMost) return take_rows<kFewer>(left, take);
  }
  take(Count<kMost>());
  return kMost;
}
/// Calls take(Count<N>(), i) for rows [i, i + N) of the task, which are in one block. kMost: of N.
template <std::size_t kMost, class Take>
[[gnu::always_inline]] inline void for_rows(const ProductTask& task, const Take& take) {
  const std::size_t height = task.grouped->height;
  const std::size_t n = task.end_row - task.first_row;
  std::size_t i = 0;
  const auto some = [&](auto rows) __attribute__((always_inline)) { take(rows, i); };
  while (i < n) {
    const std::size_t of_block = height - (task.first_row + i) % height;
    i += take_rows<kMost>(n - i < of_block ? n - i : of_block, some);
  }
}

/// What the sums of a product over all of K are multiplied by, beside the steps of its columns.
[[gnu::always_inline]] inline float sum_unit(const GroupedRows& x) {
  return 1.0F / static_cast<float>(256 << sum_shift(x.groups * kGroup));
}

}  // namespace headwater::kernels::cpu
