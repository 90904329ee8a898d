#include "tools/eval/quant_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::eval {
namespace {

using testing::HasSubstr;

TEST(QuantPolicy, ReadsNamesInTheirOrder) {
  const auto policies = parse_quant_policies("0,k8v4,4,8");
  ASSERT_TRUE(policies.ok());
  ASSERT_EQ(policies->size(), 4U);
  EXPECT_EQ((*policies)[0].name, "0");
  EXPECT_FALSE((*policies)[0].format.quantised());
  EXPECT_EQ((*policies)[1].name, "k8v4");
  EXPECT_EQ((*policies)[1].format.key_bits, 8);
  EXPECT_EQ((*policies)[1].format.value_bits, 4);
  EXPECT_EQ((*policies)[2].format.key_bits, 4);
  EXPECT_EQ((*policies)[3].format.value_bits, 8);
}

TEST(QuantPolicy, NamesWhatIsUnknownAndWhatIsKnown) {
  for (const char* list : {"7", "", "0,", ",0", "0, 0", "k8", "00", "-1", "0;8"}) {
    const auto policies = parse_quant_policies(list);
    ASSERT_FALSE(policies.ok()) << list;
    EXPECT_THAT(policies.error().message, HasSubstr("is no quant policy; supported are 0 (keys and values in 16"))
        << list;
  }
}

TEST(QuantPolicy, RefusesWhatIsThereTwice) {
  EXPECT_THAT(parse_quant_policies("0,0").error().message, HasSubstr("\"0\" stands there twice"));
}

}  // namespace
}  // namespace headwater::eval
