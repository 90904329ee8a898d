#include "kernels/cpu/page_warmer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace headwater::kernels::cpu {
namespace {

constexpr std::size_t kBytes = std::size_t{8} << 20U;
constexpr std::size_t kPage = 4096;

/// Fresh pages of the system.
class Pages {
 public:
  Pages()
      : memory_(static_cast<std::byte*>(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~Pages() { munmap(memory_, kBytes); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return memory_; }
  std::size_t ready() const {
    std::vector<unsigned char> there(kBytes / kPage);
    EXPECT_EQ(mincore(memory_, kBytes, there.data()), 0);
    std::size_t n = 0;
    for (unsigned char page : there) n += page & 1U;
    return n;
  }

 private:
  std::byte* memory_;
};

TEST(PageWarmer, MakesAllPagesReadyAndChangesNothing) {
  const Pages pages;
  pages.data()[5 * kPage] = std::byte{7};
  PageWarmer warmer;
  warmer.start(pages.data(), kBytes);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (pages.ready() < kBytes / kPage) {
    if (std::chrono::steady_clock::now() > end) GTEST_SKIP() << "the system has no pages to spare, or cannot do it";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(pages.data()[5 * kPage], std::byte{7});
  EXPECT_EQ(pages.data()[6 * kPage], std::byte{0});
}

TEST(PageWarmer, EndsWhenItIsTold) {
  const Pages pages;
  PageWarmer warmer;
  warmer.start(pages.data(), kBytes);
  warmer.stop();
  warmer.stop();
  warmer.start(pages.data(), kBytes);  // and once more by its destructor
}

}  // namespace
}  // namespace headwater::kernels::cpu
