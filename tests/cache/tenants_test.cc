#include "cache/tenants.h"

#include <gtest/gtest.h>

namespace headwater::cache {
namespace {

TEST(Tenants, KeepsANumberAsLongAsItsOwnerHoldsABlock) {
  Tenants tenants;
  const TenantId alice = tenants.hold("alice");
  EXPECT_EQ(tenants.hold("alice"), alice);
  EXPECT_NE(tenants.hold("bob"), alice);
  EXPECT_EQ(tenants.at(alice).blocks, 2U);
  tenants.let_go(alice);
  EXPECT_EQ(tenants.find("alice"), &tenants.at(alice));
  tenants.let_go(alice);
  EXPECT_EQ(tenants.find("alice"), nullptr);
  EXPECT_EQ(tenants.hold("carol"), alice) << "the number is free again";
  EXPECT_EQ(tenants.at(alice).name, "carol");
  EXPECT_EQ(tenants.all().size(), 2U);
}

TEST(Tenants, ShowsADigestThatTellsThemApartAndNotTheirNames) {
  EXPECT_EQ(tenant_digest(""), "");
  EXPECT_EQ(tenant_digest("alice").size(), 12U);
  EXPECT_EQ(tenant_digest("alice").find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(tenant_digest("alice"), tenant_digest("alice"));
  EXPECT_NE(tenant_digest("alice"), tenant_digest("bob"));
}

}  // namespace
}  // namespace headwater::cache
