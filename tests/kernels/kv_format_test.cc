#include "kernels/kv_format.h"

#include <gtest/gtest.h>

namespace headwater::kernels {
namespace {

TEST(KvFormat, IsNamedByItsPolicyAndFoundByThatName) {
  for (const char* policy : {"0", "8", "4", "k8v4", "k4v8", "4-norotate", "4-nocentre", "4-norotate-nocentre",
                             "k8v4-norotate", "k4v8-nocentre", "8-norotate"}) {
    const auto format = parse_quant_policy(policy);
    ASSERT_TRUE(format.has_value()) << policy;
    EXPECT_EQ(quant_policy(*format), policy);
  }
  EXPECT_EQ(parse_quant_policy("k8v8"), parse_quant_policy("8"));
  EXPECT_EQ(parse_quant_policy("k4v4"), parse_quant_policy("4"));
}

TEST(KvFormat, RotatesKeysAndValuesOfFourBitsAndCentresKeysOfFour) {
  EXPECT_EQ(parse_quant_policy("0"), KvFormat{});
  EXPECT_EQ(parse_quant_policy("8"), (KvFormat{8, 8, true, false, false}));
  EXPECT_EQ(parse_quant_policy("4"), (KvFormat{4, 4, true, true, true}));
  EXPECT_EQ(parse_quant_policy("k8v4"), (KvFormat{8, 4, true, true, false}));
}

TEST(KvFormat, IsNothingElse) {
  for (const char* policy : {"", "1", "16", "-8", "8 ", "k8", "v4", "k8v", "k0v8", "k8v0", "8-nocentre", "0-norotate",
                             "4-nocentre-norotate", "4-", "K8V4", "k16v16", "08"}) {
    EXPECT_FALSE(parse_quant_policy(policy).has_value()) << policy;
  }
}

}  // namespace
}  // namespace headwater::kernels
