#pragma once
// Makes the pages of a large allocation ready while the processors have nothing else to do.

#include <atomic>
#include <cstddef>
#include <thread>

namespace headwater::kernels::cpu {

/// The system gives pages at the first touch, zeroed, which takes longer than what a step writes to them. A thread of
/// idle priority touches them ahead, without changing what they hold; it ends early where memory is short, or the
/// system cannot do it (Linux before 5.14).
class PageWarmer {
 public:
  PageWarmer() = default;
  /// The memory must stay until stop().
  void start(std::byte* memory, std::size_t bytes);
  /// Returns when the thread has ended.
  void stop();
  ~PageWarmer() { stop(); }
  PageWarmer(const PageWarmer&) = delete;
  PageWarmer& operator=(const PageWarmer&) = delete;

 private:
  void warm(std::byte* memory, std::size_t bytes) const;

  std::thread thread_;
  std::atomic<bool> stopped_{false};
};

}  // namespace headwater::kernels::cpu
