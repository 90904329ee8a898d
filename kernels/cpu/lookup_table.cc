#include "kernels/cpu/lookup_table.h"

#include <cstring>

namespace headwater::kernels::cpu {
namespace {

/// Bytes of a block before its codes: scale and, for Q4_1, minimum.
std::size_t head_bytes(DType type) { return type == DType::q4_1 ? 4 : 2; }

}  // namespace

LookupTable::LookupTable(const HostTensor& table)
    : Matrix(static_cast<std::uint32_t>(table.rows), static_cast<std::uint32_t>(table.cols)),
      type_(table.type),
      bytes_(std::make_unique_for_overwrite<std::byte[]>(table.rows * row_bytes(table.type, table.cols))) {
  std::memcpy(bytes_.get(), table.data, table.rows * row_bytes(table.type, table.cols));
}

LookupTable::LookupTable(const HostTensor& table, const QuantizedMatrix& same)
    : Matrix(static_cast<std::uint32_t>(table.rows), static_cast<std::uint32_t>(table.cols)),
      type_(table.type),
      panels_(same.range().panels) {
  const std::size_t head = head_bytes(type_);
  const std::size_t n_blocks = table.rows * (table.cols / kGroup);
  bytes_ = std::make_unique_for_overwrite<std::byte[]>(n_blocks * head);
  for (std::size_t i = 0; i < n_blocks; ++i) {
    std::memcpy(bytes_.get() + i * head, table.data + i * block_bytes(type_), head);
  }
}

void LookupTable::put_together(std::uint64_t row, std::byte* out) const {
  const std::size_t groups = cols_ / kGroup;
  const std::size_t head = head_bytes(type_);
  const std::byte* heads = bytes_.get() + row * groups * head;
  for (std::size_t g = 0; g < groups; ++g, out += block_bytes(type_), heads += head) {
    std::memcpy(out, heads, head);
    read_codes(type_, panels_.get(), row, g, groups, out);
  }
}

void LookupTable::read(std::uint64_t row, std::span<float> out) const {
  const std::size_t bytes = row_bytes(type_, cols_);
  if (panels_ == nullptr) {
    dequantize_row({bytes_.get() + row * bytes, type_, 1, cols_}, 0, out);
    return;
  }
  thread_local std::vector<std::byte> whole;
  if (whole.size() < bytes) whole.resize(bytes);
  put_together(row, whole.data());
  dequantize_row({whole.data(), type_, 1, cols_}, 0, out);
}

}  // namespace headwater::kernels::cpu
