#pragma once
// The CPU's elementwise kernels. Each comes twice: in plain C++ (namespace reference), and for
// every instruction set by Highway, chosen at run time.

#include <cstddef>
#include <cstdint>

namespace headwater::kernels::cpu {

/// out = x / sqrt(mean(x²) + epsilon) * weight. All: [dim].
void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out);
/// x += y. Both: [dim].
void add(float* x, const float* y, std::size_t dim);
/// out = gate / (1 + exp(-gate)) * up. gate_up: [rows, 2, dim], out: rows `stride` apart.
void silu_mul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride);
/// The same with gelu(gate), see Activation::gelu.
void gelu_mul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride);
/// x = cap · tanh(x / cap). [n].
void soft_cap(float* x, float cap, std::size_t n);
/// x *= factor. [n].
void multiply(float* x, float factor, std::size_t n);
/// Rounds to bfloat16, to nearest even. NaN stays NaN.
void to_bf16(const float* x, std::size_t n, std::uint16_t* out);

namespace reference {
void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out);
void silu_mul(const float* gate, const float* up, std::size_t dim, float* out);
void gelu_mul(const float* gate, const float* up, std::size_t dim, float* out);
void to_bf16(const float* x, std::size_t n, std::uint16_t* out);
}  // namespace reference

}  // namespace headwater::kernels::cpu
