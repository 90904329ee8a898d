#include "model/gguf_value.h"

#include <gtest/gtest.h>

namespace headwater::model {
namespace {

TEST(GgufValue, IsSaidInWords) {
  EXPECT_EQ(describe_value(std::uint64_t{12}), "12");
  EXPECT_EQ(describe_value(std::int64_t{-3}), "-3");
  EXPECT_EQ(describe_value(0.5), "0.5");
  EXPECT_EQ(describe_value(true), "true");
  EXPECT_EQ(describe_value(std::string("a\nb")), "\"a?b\"");
  EXPECT_EQ(describe_value(std::vector<std::string>{"a"}), "an array of 1 string");
  EXPECT_EQ(describe_value(std::vector<std::uint64_t>(3)), "an array of 3 integers");
  EXPECT_EQ(describe_value(std::vector<std::int64_t>()), "an array of 0 integers");
  EXPECT_EQ(describe_value(std::vector<double>(2)), "an array of 2 numbers");
  EXPECT_EQ(describe_value(std::vector<bool>(2)), "an array of 2 booleans");
}

TEST(GgufValue, IsMissingWhereThereIsNone) {
  const GgufValue seven = std::uint64_t{7};
  EXPECT_EQ(found_value(nullptr), "is missing");
  EXPECT_EQ(found_value(&seven), "is 7");
}

}  // namespace
}  // namespace headwater::model
