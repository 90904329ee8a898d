#pragma once
// What sampling looks for in a whole row of logits, by blocks; every block's result is made in one order, whatever the
// instruction set's vectors hold.

#include <cstddef>

namespace headwater::kernels {

/// Logits that are looked at together.
inline constexpr std::size_t kLogitBlock = 64;

/// best: [n_blocks], the highest of each block of logits [n_blocks, kLogitBlock]; of no meaning in a block with a NaN.
/// Returns whether there is neither a NaN nor +infinity.
bool best_of_blocks(const float* logits, std::size_t n_blocks, float* best);

/// sums: [n_blocks], Σ exp((logit - best) * scale) of each block, to 1e-5 of it; what is below 2^-126 counts as that.
/// best: at least the highest logit. scale > 0.
void sums_of_blocks(const float* logits, std::size_t n_blocks, float best, float scale, float* sums);

}  // namespace headwater::kernels
