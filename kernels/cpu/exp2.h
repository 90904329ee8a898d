#pragma once
// Numbers of 2^x, for the kernels that compute it.

namespace headwater::kernels::cpu {

/// 2^r on [0, 1) to 1e-7, a minimax polynomial with value 1 at 0; the highest power first.
inline constexpr float kExp2[6] = {0.00186713007F, 0.00901703032F, 0.0557999131F, 0.24016445F, 0.693151312F, 1.0F};
/// Of lower x the bits of 2^x can no longer be put together from a mantissa and an exponent.
inline constexpr float kLowestPower = -126;

}  // namespace headwater::kernels::cpu
