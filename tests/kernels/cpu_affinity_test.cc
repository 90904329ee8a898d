#include "kernels/cpu_affinity.h"

#include <gmock/gmock.h>

#include <thread>

namespace headwater::kernels {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(CpuLists, AreReadAsTheSystemWritesThem) {
  EXPECT_THAT(parse_cpu_list("0-3,8,10-11\n").value_or(CpuList{}), ElementsAre(0, 1, 2, 3, 8, 10, 11));
  EXPECT_THAT(parse_cpu_list("7\n").value_or(CpuList{}), ElementsAre(7));
  EXPECT_THAT(parse_cpu_list("\n").value_or(CpuList{1}), IsEmpty()) << "a node that has memory alone";
  EXPECT_THAT(parse_cpu_list("2,0,1-2").value_or(CpuList{}), ElementsAre(0, 1, 2));
  EXPECT_EQ(parse_cpu_list("0-2047").value_or(CpuList{}).size(), 2048U);
}

TEST(CpuLists, ThatAreNoneAreRefused) {
  for (const char* text : {"-", "a", "1-", "-1", "3-1", "1,,2", "1,", ",1", "1 2", "0-3:1/2", "99999999999999999999",
                           "0-4294967295", "65536", "0x1", "max"}) {
    EXPECT_FALSE(parse_cpu_list(text)) << text;
  }
}

TEST(Affinity, OfAThreadIsItsOwn) {
  const CpuList all = affinity();
  ASSERT_THAT(all, Not(IsEmpty()));
  CpuList narrowed;
  std::thread([&] {
    EXPECT_TRUE(set_affinity({&all.back(), 1}));
    narrowed = affinity();
  }).join();
  EXPECT_THAT(narrowed, ElementsAre(all.back()));
  EXPECT_EQ(affinity(), all);
}

TEST(Affinity, ToWhatIsNotThereIsRefusedAndChangesNothing) {
  const CpuList all = affinity();
  for (const CpuList& wrong : {CpuList{}, CpuList{60000}, CpuList{4000000000U}}) EXPECT_FALSE(set_affinity(wrong));
  EXPECT_EQ(affinity(), all);
}

}  // namespace
}  // namespace headwater::kernels
