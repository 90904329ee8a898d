#include "kernels/memory_reserve.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <new>
#include <vector>

#include "tests/support/limited_child.h"

namespace headwater::kernels {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

TEST(MemoryReserve, IsWholeWhereNoneIsKept) { EXPECT_TRUE(memory_reserve_whole()); }

TEST(MemoryReserve, ServesWhatIsSmallAndRefusesWhatIsLarge) {
  if (!test::kAddressesCanBeLimited) GTEST_SKIP() << "not in this build";
  const int status = test::with_addresses(64 * kMiB, [] {
    keep_memory_reserve(16 * kMiB);
    std::vector<void*> taken;
    taken.reserve(100'000);
    try {
      const std::vector<char> large(100 * kMiB, 'x');
      return large[kMiB] == 'x' ? 1 : 9;
    } catch (const std::bad_alloc&) {
    }
    if (!memory_reserve_whole()) return 2;  // what was refused has not cost it
    while (memory_reserve_whole()) taken.push_back(::operator new(64 << 10U));
    for (int i = 0; i < 50; ++i) taken.push_back(::operator new(64 << 10U));  // out of the reserve
    if (memory_reserve_whole()) return 3;
    while (!taken.empty()) {
      ::operator delete(taken.back());
      taken.pop_back();
    }
    return memory_reserve_whole() ? 0 : 4;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace headwater::kernels
