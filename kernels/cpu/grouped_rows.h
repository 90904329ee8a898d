#pragma once
// Activations rounded 32 at a time, for grouped_product.h.

#include <cstddef>
#include <vector>

#include "kernels/cpu/grouped_product.h"

namespace headwater::kernels::cpu {

/// Rounds x [into.groups * 32] to row `row` of `into`. Different rows may be rounded side by side. Each needs the
/// instruction set in its name.
void quantize_grouped_row_avx2(const float* x, const GroupedRows& into, std::size_t row);
void quantize_grouped_row_avx512(const float* x, const GroupedRows& into, std::size_t row);

/// Fills in the list of a block whose rows have been rounded.
void list_wide_groups(const GroupedRows& rows, std::size_t block);

namespace reference {
/// The same as the first two, on any machine.
void quantize_grouped_row(const float* x, const GroupedRows& into, std::size_t row);
}  // namespace reference

/// Memory for rounded rows, used again at each product.
class GroupedActivations {
 public:
  GroupedActivations() = default;
  GroupedActivations(GroupedActivations&&) = default;
  GroupedActivations& operator=(GroupedActivations&&) = default;

  void resize(std::size_t rows, std::size_t groups);
  const GroupedRows& rows() const { return rows_; }

 private:
  GroupedRows rows_;
  std::vector<std::byte> codes_, terms_;
  std::vector<std::uint64_t> wide_;
  std::vector<WideGroup> listed_;
  std::vector<std::uint32_t> n_listed_;
};

}  // namespace headwater::kernels::cpu
