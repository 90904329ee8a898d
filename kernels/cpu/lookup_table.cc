#include "kernels/cpu/lookup_table.h"

#include <cstring>

#include "kernels/cpu/panel_packing.h"
#include "kernels/weight_group.h"

namespace headwater::kernels::cpu {

std::uint64_t LookupTable::bytes_of(const HostTensor& table, bool shared) {
  if (!shared) return table.rows * row_bytes(table.type, table.cols);
  return table.rows * (table.cols / block_values(table.type)) * scale_bytes(table.type).size;
}

LookupTable::LookupTable(const HostTensor& table)
    : Matrix(static_cast<std::uint32_t>(table.rows), static_cast<std::uint32_t>(table.cols)),
      type_(table.type),
      bytes_(std::make_unique_for_overwrite<std::byte[]>(bytes_of(table, false))) {
  std::memcpy(bytes_.get(), table.data, bytes_of(table, false));
}

LookupTable::LookupTable(const HostTensor& table, const QuantizedMatrix& same)
    : Matrix(static_cast<std::uint32_t>(table.rows), static_cast<std::uint32_t>(table.cols)),
      type_(table.type),
      bytes_(std::make_unique_for_overwrite<std::byte[]>(bytes_of(table, true))),
      panels_(same.range().panels) {
  const ScaleBytes scales = scale_bytes(type_);
  const std::size_t n_blocks = table.rows * (table.cols / block_values(type_));
  for (std::size_t i = 0; i < n_blocks; ++i) {
    std::memcpy(bytes_.get() + i * scales.size, table.data + i * block_bytes(type_) + scales.first, scales.size);
  }
}

void LookupTable::put_together(std::uint64_t row, std::span<float> out) const {
  const std::size_t groups = cols_ / kGroup;
  const std::size_t in_block = block_values(type_) / kGroup;
  const ScaleBytes scales = scale_bytes(type_);
  const std::byte* panel = panels_.get() + row / kPanel * panel_bytes(*panel_format(type_), groups);
  const std::byte* next = bytes_.get() + row * (groups / in_block) * scales.size;
  std::vector<std::byte> block(block_bytes(type_));  // of which only the scales matter
  for (std::size_t g = 0; g < groups; ++g) {
    if (g % in_block == 0) {
      std::memcpy(block.data() + scales.first, next, scales.size);
      next += scales.size;
    }
    WeightGroup group{read_scale(type_, block.data(), g % in_block), {}};
    group.codes = read_codes(type_, group, panel, row % kPanel, g, groups);
    expand_group(type_, group, out.subspan(g * kGroup, kGroup));
  }
}

void LookupTable::read(std::uint64_t row, std::span<float> out) const {
  if (panels_ != nullptr) return put_together(row, out);
  dequantize_row({bytes_.get() + row * row_bytes(type_, cols_), type_, 1, cols_}, 0, out);
}

}  // namespace headwater::kernels::cpu
