#include "kernels/precision.h"

#include <gtest/gtest.h>

namespace headwater::kernels {
namespace {

TEST(Precision, IsWhatItsNameSays) {
  EXPECT_EQ(parse_precision("fast"), Precision::fast);
  EXPECT_EQ(parse_precision("balanced"), Precision::balanced);
  EXPECT_EQ(parse_precision("exact"), Precision::exact);
  for (const char* other : {"", "Fast", "fast ", "float32"}) EXPECT_EQ(parse_precision(other), std::nullopt) << other;
}

}  // namespace
}  // namespace headwater::kernels
