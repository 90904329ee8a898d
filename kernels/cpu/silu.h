#pragma once
// Numbers of silu(x) = x / (1 + 2^(-x log2 e)), for the kernels that compute it.

namespace headwater::kernels::cpu::silu {

inline constexpr float kMinusLog2E = -1.44269504F;
/// Below this x silu(x) is as good as zero. Its power of two is a float yet.
inline constexpr float kLowest = -87;
/// Lower powers of two add nothing to 1, and would no longer be put together from their bits.
inline constexpr float kLowestPower = -126;
/// 2^r on [0, 1) to 1e-7, a minimax polynomial with value 1 at 0; the highest power first.
inline constexpr float kExp2[6] = {0.00186713007F, 0.00901703032F, 0.0557999131F, 0.24016445F, 0.693151312F, 1.0F};

}  // namespace headwater::kernels::cpu::silu
