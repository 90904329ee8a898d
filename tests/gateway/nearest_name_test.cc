#include "gateway/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace headwater::gateway {
namespace {

TEST(NearestName, FindsWhatWasMeant) {
  const std::vector<std::string> known = {"temperature", "top_p", "top_k", "max_tokens"};
  EXPECT_EQ(nearest_name("temprature", known), "temperature");
  EXPECT_EQ(nearest_name("maxtokens", known), "max_tokens");
  EXPECT_EQ(nearest_name("topp", known), "top_p");
}

TEST(NearestName, SaysNothingWhereNothingIsNear) {
  const std::vector<std::string> known = {"temperature", "top_p"};
  EXPECT_EQ(nearest_name("zzz", known), "");
  EXPECT_EQ(nearest_name("", known), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'x'), known), "");
}

}  // namespace
}  // namespace headwater::gateway
