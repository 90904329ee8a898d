#include "tools/eval/quant_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::eval {
namespace {

using testing::HasSubstr;

TEST(QuantPolicy, ReadsNamesInTheirOrder) {
  const auto policies = parse_quant_policies("0");
  ASSERT_TRUE(policies.ok());
  ASSERT_EQ(policies->size(), 1U);
  EXPECT_EQ((*policies)[0].name, "0");
}

TEST(QuantPolicy, NamesWhatIsUnknownAndWhatIsKnown) {
  for (const char* list : {"7", "", "0,", ",0", "0, 0", "k8", "00", "-1", "0;8"}) {
    const auto policies = parse_quant_policies(list);
    ASSERT_FALSE(policies.ok()) << list;
    EXPECT_THAT(policies.error().message,
                HasSubstr("is no quant policy; known: 0 (16 bits), 8 (8 bits), 4 (4 bits), k8v4 (keys"))
        << list;
  }
}

TEST(QuantPolicy, RefusesWhatIsThereTwice) {
  EXPECT_THAT(parse_quant_policies("0,0").error().message, HasSubstr("\"0\" stands there twice"));
}

TEST(QuantPolicy, SaysWhatThisBuildHas) {
  for (const char* list : {"8", "0,4", "k8v4"}) {
    EXPECT_THAT(parse_quant_policies(list).error().message, HasSubstr("is not available; supported: 0 (16 bits)"))
        << list;
  }
}

}  // namespace
}  // namespace headwater::eval
