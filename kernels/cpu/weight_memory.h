#pragma once
// Memory for weights. A step reads all of them, so they lie side by side in huge pages where the system has some.

#include <cstddef>
#include <memory>

namespace headwater::kernels::cpu {

class WeightMemory {
 public:
  /// Aligned to 64 bytes; lives as long as the result or a copy of it. Throws std::bad_alloc.
  std::shared_ptr<std::byte> take(std::size_t bytes);

 private:
  std::shared_ptr<std::byte> chunk_;
  std::size_t used_ = 0, size_ = 0;
};

}  // namespace headwater::kernels::cpu
