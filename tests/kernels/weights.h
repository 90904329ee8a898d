#pragma once
// Random weight matrices as model files have them, and random rows of activations.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/weight_group.h"

namespace headwater::kernels {

/// A weight matrix as a model file has it, with its float values.
struct Weights {
  std::vector<std::byte> blocks;
  std::vector<float> values;
  HostTensor tensor;
};

inline std::uint16_t half_bits(int power, bool negative) {  // ± 2^power
  return static_cast<std::uint16_t>((negative ? 0x8000 : 0) | (power + 15) << 10);
}

/// Any codes, and scales of some orders of magnitude and of either sign.
inline Weights make_weights(DType type, std::size_t rows, std::size_t cols, unsigned seed) {
  std::mt19937 random(seed);
  Weights made;
  made.blocks.resize(rows * cols / block_values(type) * block_bytes(type));
  for (std::byte& byte : made.blocks) byte = static_cast<std::byte>(random());
  const std::size_t scale_at = type == DType::q6_k ? 208 : 0;
  for (std::size_t i = 0; i < made.blocks.size(); i += block_bytes(type)) {
    const std::uint16_t scale = half_bits(-static_cast<int>(random() % 9), random() % 8 == 0) | (random() & 0x3FFU);
    const std::uint16_t minimum = half_bits(-static_cast<int>(random() % 6), true) | (random() & 0x3FFU);
    std::memcpy(&made.blocks[i + scale_at], &scale, 2);
    if (group_format(type).has_minimum) std::memcpy(&made.blocks[i + 2], &minimum, 2);
  }
  made.tensor = {made.blocks.data(), type, rows, cols};
  made.values.resize(rows * cols);
  for (std::size_t r = 0; r < rows; ++r) dequantize_row(made.tensor, r, {made.values.data() + r * cols, cols});
  return made;
}

/// The greatest weight that the codes of a row's groups could stand for.
inline double greatest_bound(const Weights& weights, std::size_t row) {
  const HostTensor& tensor = weights.tensor;
  const GroupFormat format = group_format(tensor.type);
  const std::byte* const at = tensor.data + row * row_bytes(tensor.type, tensor.cols);
  double greatest = 0;
  for (std::size_t g = 0; g < tensor.cols / kGroupValues; ++g) {
    const GroupScale group = read_scale(tensor.type, at, g);
    for (const std::size_t half : {0, 1}) {
      for (const int code : {format.least, format.most}) {
        const float weight = group.scale[half] * static_cast<float>(code - format.zero) + group.minimum[half];
        greatest = std::max<double>(greatest, std::abs(weight));
      }
    }
  }
  return greatest;
}

inline std::vector<float> make_rows(std::size_t rows, std::size_t cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(rows * cols);
  for (float& value : x) value = normal(random) * (random() % 50 == 0 ? 30.0F : 1.0F);
  return x;
}

}  // namespace headwater::kernels
