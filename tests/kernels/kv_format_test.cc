#include "kernels/kv_format.h"

#include <gtest/gtest.h>

namespace headwater::kernels {
namespace {

TEST(KvFormat, IsNamedByItsPolicyAndFoundByThatName) {
  for (const char* policy : {"0", "8", "4", "k8v4", "k4v8", "4-norotate", "4-nocentre", "4-norotate-nocentre",
                             "k8v4-norotate", "k4v8-nocentre", "8-norotate", "8-nobalance", "8-nobalance-nocentre",
                             "4-nofirst", "4-norotate-nobalance-nocentre-nofirst"}) {
    const auto format = parse_quant_policy(policy);
    ASSERT_TRUE(format.has_value()) << policy;
    EXPECT_EQ(quant_policy(*format), policy);
  }
  EXPECT_EQ(parse_quant_policy("k8v8"), parse_quant_policy("8"));
  EXPECT_EQ(parse_quant_policy("k4v4"), parse_quant_policy("4"));
}

TEST(KvFormat, DoesAllThatMakesUpForFewBitsUnlessAPartIsLeftOut) {
  KvFormat eight{8, 8};
  eight.rotate_keys = eight.centre_keys = eight.balance_keys = true;
  KvFormat mixed = eight;
  mixed.value_bits = 4;
  mixed.rotate_values = true;
  KvFormat four = mixed;
  four.key_bits = 4;
  four.first_in_8_bits = true;
  EXPECT_EQ(parse_quant_policy("0"), KvFormat{});
  EXPECT_EQ(parse_quant_policy("8"), eight);
  EXPECT_EQ(parse_quant_policy("4"), four);
  EXPECT_EQ(parse_quant_policy("k8v4"), mixed);
  four.first_in_8_bits = false;
  EXPECT_EQ(parse_quant_policy("4-nofirst"), four);
  EXPECT_EQ(parse_quant_policy("8-norotate-nobalance-nocentre"), (KvFormat{8, 8}));
}

TEST(KvFormat, HasAFirstBlockOfHalfAsManyTokensWhereThatIsIn8Bits) {
  EXPECT_EQ(block_grid(*parse_quant_policy("4"), 32), BlockGrid(32, 16));
  for (const char* policy : {"0", "8", "k8v4", "4-nofirst"}) {
    EXPECT_EQ(block_grid(*parse_quant_policy(policy), 32), BlockGrid(32)) << policy;
  }
}

TEST(KvFormat, IsNothingElse) {
  for (const char* policy : {"", "1", "16", "-8", "8 ", "k8", "v4", "k8v", "k0v8", "k8v0", "8-nofirst", "k8v4-nofirst",
                             "0-norotate", "4-nocentre-norotate", "4-", "K8V4", "k16v16", "08"}) {
    EXPECT_FALSE(parse_quant_policy(policy).has_value()) << policy;
  }
}

}  // namespace
}  // namespace headwater::kernels
