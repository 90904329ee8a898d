#pragma once
// Numbers of silu(x) = x / (1 + 2^(-x log2 e)), for the kernels that compute it.

namespace headwater::kernels::cpu::silu {

inline constexpr float kMinusLog2E = -1.44269504F;
/// Below this x silu(x) is as good as zero. Its power of two is a float yet.
inline constexpr float kLowest = -87;

}  // namespace headwater::kernels::cpu::silu
