#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace headwater::kernels::cpu {

/// Memory of a thread that grows to what its largest task needs, 64-byte aligned. What is in it is of no meaning at the
/// next call.
inline std::byte* thread_scratch(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  thread_local std::vector<std::byte> memory;
  if (memory.size() < bytes + kAlignment) memory.resize(bytes + kAlignment);
  const auto misaligned = reinterpret_cast<std::uintptr_t>(memory.data()) % kAlignment;
  return memory.data() + (kAlignment - misaligned) % kAlignment;
}

}  // namespace headwater::kernels::cpu
