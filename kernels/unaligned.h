#pragma once
// Numbers that stand anywhere in a file's bytes, little-endian as the processors are that this runs on.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/tensor.h"

namespace headwater::kernels {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
inline float load_half(const std::byte* at) { return half_to_float(load<std::uint16_t>(at)); }

}  // namespace headwater::kernels
