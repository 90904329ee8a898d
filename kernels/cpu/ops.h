#pragma once
// The CPU's elementwise and attention kernels. Each comes twice: in plain C++ (namespace reference), and for
// every instruction set by Highway, chosen at run time.

#include <cstddef>
#include <cstdint>
#include <span>

namespace headwater::kernels::cpu {

/// 16-bit float bits.
using Half = std::uint16_t;

/// Queries that one call of attend() takes at most.
inline constexpr std::size_t kMaxQueries = 16;

/// Some query heads of one KV head, over the blocks of one sequence.
struct AttendTask {
  std::size_t head_dim = 0;
  std::size_t block_tokens = 0;
  std::size_t n_queries = 0;                ///< at most kMaxQueries
  const float* const* queries = nullptr;    ///< [n_queries] → [head_dim], rotated and scaled
  float* const* outputs = nullptr;          ///< [n_queries] → [head_dim]
  const std::uint32_t* contexts = nullptr;  ///< [n_queries]: tokens that each query sees, at least 1
  /// Block i of the sequence: keys [head_dim, block_tokens], then values [block_tokens, head_dim].
  const Half* const* blocks = nullptr;
  float* scratch = nullptr;  ///< [kMaxQueries * block_tokens]
};

/// out = x / sqrt(mean(x²) + epsilon) * weight. All: [dim].
void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out);
/// x += y. Both: [dim].
void add(float* x, const float* y, std::size_t dim);
/// out = gate / (1 + exp(-gate)) * up. gate_up: [rows, 2, dim], out: rows `stride` apart.
void silu_mul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride);
/// Rotates pairs (2i, 2i + 1) of x by the angles whose cosine and sine are given, and scales.
/// x: [2 * pairs], cosines, sines: [pairs].
void rope(float* x, const float* cosines, const float* sines, std::size_t pairs, float scale);
/// Rounds to bfloat16, to nearest even.
void to_bf16(const float* x, std::size_t n, std::uint16_t* out);
/// Rounds to 16-bit float, to nearest even; beyond ±65504 that is used. NaN stays NaN.
void to_half(const float* x, std::size_t n, Half* out);
/// softmax(query · keys) · values for each query, blocks in order from the first token.
/// Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
void attend(const AttendTask& task);

namespace reference {
void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out);
void silu_mul(const float* gate, const float* up, std::size_t dim, float* out);
void rope(float* x, const float* cosines, const float* sines, std::size_t pairs, float scale);
void to_bf16(const float* x, std::size_t n, std::uint16_t* out);
void to_half(const float* x, std::size_t n, Half* out);
float from_half(Half half);
void attend(const AttendTask& task);
}  // namespace reference

}  // namespace headwater::kernels::cpu
