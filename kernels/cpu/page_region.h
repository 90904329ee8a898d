#pragma once
// Address space whose memory is taken page by page as it is written, and can be given back.

#include <cstddef>

namespace headwater::kernels::cpu {

class PageRegion {
 public:
  /// Of the pages that the system makes larger where it may.
  enum class Pages { huge, small };

  PageRegion() = default;
  /// Reserves `bytes`, all zero. 0: nothing. Throws std::bad_alloc.
  PageRegion(std::size_t bytes, Pages pages);
  ~PageRegion();
  PageRegion(PageRegion&& other) noexcept;
  PageRegion& operator=(PageRegion&& other) noexcept;

  std::byte* memory() const { return memory_; }
  std::size_t bytes() const { return bytes_; }
  /// The memory of the whole pages within `bytes` from `first` on returns to the system: they are zero again.
  void give_back(std::size_t first, std::size_t bytes) const;

  /// `bytes` in whole pages.
  static std::size_t round_up(std::size_t bytes);

 private:
  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace headwater::kernels::cpu
