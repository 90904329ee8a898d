#include "kernels/cpu/grouped_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace headwater::kernels::cpu {
namespace reference {
namespace {

/// The least and the greatest of a group's values and 0; NaN if one is not finite.
struct Ends {
  float low = 0, high = 0;
};
Ends ends_of(const float* x) {
  Ends ends;
  for (std::size_t i = 0; i < kGroup; ++i) {
    if (!std::isfinite(x[i])) return {0, std::numeric_limits<float>::quiet_NaN()};
    ends = {std::min(ends.low, x[i]), std::max(ends.high, x[i])};
  }
  return ends;
}

}  // namespace

void quantize_grouped_row(const float* x, const GroupedRows& into, std::size_t row) {
  double squares = 0;
  for (std::size_t g = 0; g < into.groups; ++g) {
    const Ends ends = ends_of(x + g * kGroup);
    const double width = ends.high - ends.low;
    squares += width * width;
  }
  std::uint64_t* const wide = into.wide + row * into.wide_words();
  std::fill_n(wide, into.wide_words(), 0);
  for (std::size_t g = 0; g < into.groups; ++g) {
    const Ends ends = ends_of(x + g * kGroup);
    const double width = ends.high - ends.low;
    const GroupScale8 scale = group_scale(ends.low, ends.high);
    const bool is_wide = width * width * static_cast<double>(into.groups) > kWide * squares;
    if (is_wide) wide[g / 64] |= std::uint64_t{1} << g % 64;
    int codes[2] = {};
    int rests[2] = {};
    for (std::size_t i = 0; i < kGroup; ++i) {
      const float value = scale.usable ? x[g * kGroup + i] * scale.inverse : 0;
      const int number = static_cast<int>(std::nearbyint(value)) - 256 * scale.centre;
      const int code = (number + 128) >> 8;
      const int rest = is_wide ? number - 256 * code : 0;
      const std::size_t place = into.place(row, g) * kGroup + i;
      into.codes[place] = static_cast<std::int8_t>(code);
      if (is_wide) into.rests[place] = static_cast<std::int8_t>(rest);
      codes[i / (kGroup / 2)] += code;
      rests[i / (kGroup / 2)] += rest;
    }
    into.terms[into.place(row, g)] = GroupTerms::of(scale.step, scale.centre, codes[0], codes[1]);
    if (is_wide) into.rest_terms[into.place(row, g)] = GroupTerms::of(scale.step / 256, 0, rests[0], rests[1]);
  }
}

}  // namespace reference

void GroupedActivations::resize(std::size_t rows, std::size_t groups) {
  constexpr std::size_t kLine = 64;
  const auto make_room = [](auto& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size);
    const std::size_t misplaced = reinterpret_cast<std::uintptr_t>(memory.data()) % kLine;
    return memory.data() + (kLine - misplaced) % kLine;
  };
  rows_.rows = rows;
  rows_.groups = groups;
  rows_.height = std::min(rows, kBlockRows);
  const std::size_t places = rows_.blocks() * rows_.height * groups;
  rows_.codes = reinterpret_cast<std::int8_t*>(make_room(codes_, 2 * places * kGroup + kLine));
  rows_.rests = rows_.codes + places * kGroup;
  rows_.terms = reinterpret_cast<GroupTerms*>(make_room(terms_, 2 * places * sizeof(GroupTerms) + kLine));
  rows_.rest_terms = rows_.terms + places;
  wide_.resize(std::max(wide_.size(), rows * rows_.wide_words()));
  rows_.wide = wide_.data();
  listed_.resize(std::max(listed_.size(), rows_.blocks() * rows_.height * rows_.most_wide()));
  rows_.listed = listed_.data();
  n_listed_.resize(std::max(n_listed_.size(), rows_.blocks()));
  rows_.n_listed = n_listed_.data();
}

void list_wide_groups(const GroupedRows& rows, std::size_t block) {
  WideGroup* const begin = rows.listed + block * rows.height * rows.most_wide();
  WideGroup* end = begin;
  const std::size_t first = block * rows.height;
  for (std::size_t r = 0; r < std::min(rows.height, rows.rows - first); ++r) {
    const std::uint64_t* const words = rows.wide + (first + r) * rows.wide_words();
    for (std::size_t word = 0; word < rows.wide_words(); ++word) {
      for (std::uint64_t left = words[word]; left != 0; left &= left - 1) {
        const auto group = word * 64 + static_cast<std::size_t>(std::countr_zero(left));
        const std::size_t place = rows.place(first + r, group);
        std::copy_n(rows.rests + place * kGroup, kGroup, end->rests);
        end->terms = rows.rest_terms[place];
        end->row = static_cast<std::uint16_t>(r);
        end->group = static_cast<std::uint16_t>(group);
        ++end;
      }
    }
  }
  rows.n_listed[block] = static_cast<std::uint32_t>(end - begin);
}

}  // namespace headwater::kernels::cpu
