#pragma once
// Element types and views of tensors that live in host memory.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace headwater::kernels {

/// Element formats of model files. The quantised ones hold blocks of 32 or 256 values (ggml's layouts).
enum class DType : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, iq4_nl, iq4_xs };

/// "F32", "Q4_1", … as GGUF tools print them.
std::string_view name(DType type);
/// Values in one block: 1, 32 or 256.
std::uint32_t block_values(DType type);
/// Bytes of one block.
std::uint32_t block_bytes(DType type);
/// Bytes of a row of `cols` values. REQUIRES: whole blocks.
std::size_t row_bytes(DType type, std::uint64_t cols);

/// The value of 16-bit float bits.
float half_to_float(std::uint16_t half);

/// A row-major matrix [rows, cols] in host memory, not owned; a row is contiguous and, for the
/// quantised types, cols is a multiple of block_values(type).
struct HostTensor {
  const std::byte* data = nullptr;
  DType type = DType::f32;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
};

/// Expands row `row` to float32; `out` holds tensor.cols values.
void dequantize_row(const HostTensor& tensor, std::uint64_t row, std::span<float> out);

}  // namespace headwater::kernels
