#include "gateway/api_keys.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

TEST(ApiKeys, LetsEverybodyInWithoutKeysAsOneTenant) {
  const ApiKeys keys({});
  EXPECT_EQ(keys.tenant(""), "");
  EXPECT_EQ(keys.tenant("Bearer whatever"), "");
}

TEST(ApiKeys, TellsTenantsApartAndKeepsTheirKeysSecret) {
  const ApiKeys keys({"alpha", "beta"});
  const auto alpha = keys.tenant("Bearer alpha");
  const auto beta = keys.tenant("Bearer beta");
  ASSERT_TRUE(alpha && beta);
  EXPECT_NE(*alpha, *beta);
  EXPECT_EQ(alpha->find("alpha"), std::string::npos);
  EXPECT_FALSE(keys.tenant("Bearer gamma").has_value());
  EXPECT_FALSE(keys.tenant("alpha").has_value());
}

TEST(ApiKeys, NamesEveryTenant) {
  const ApiKeys keys({"alpha", "beta"});
  EXPECT_EQ(keys.tenants(), (std::vector{*keys.tenant("Bearer alpha"), *keys.tenant("Bearer beta")}));
  EXPECT_TRUE(ApiKeys({}).tenants().empty());
}

}  // namespace
}  // namespace headwater::gateway
