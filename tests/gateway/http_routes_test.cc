#include "gateway/http_routes.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

TEST(HttpRoutes, FindsPathsWithAndWithoutAQuery) {
  EXPECT_EQ(find_route("/v1/chat/completions").endpoint, Endpoint::chat);
  EXPECT_EQ(find_route("/v1/models?x=1").endpoint, Endpoint::models);
  for (const char* target : {"", "/", "/v1", "/v1/models/", "/v1/chat/completions/", "//health", "http://x/health"}) {
    EXPECT_EQ(find_route(target).endpoint, Endpoint::unknown) << target;
  }
}

TEST(HttpRoutes, ReadsTheModelsName) {
  EXPECT_EQ(find_route("/v1/models/a%20b%2Fc").argument, "a b/c");
  EXPECT_EQ(find_route("/v1/models/100%").argument, "100%");
  EXPECT_EQ(find_route("/v1/models/%zz").argument, "%zz");
}

TEST(HttpRoutes, ReadsTheSessionsName) {
  const Route route = find_route("/v1/sessions/my%20chat");
  EXPECT_EQ(route.endpoint, Endpoint::session);
  EXPECT_EQ(route.argument, "my chat");
  EXPECT_EQ(route.access, Access::client);
  EXPECT_EQ(allowed_methods(route), "DELETE");
  EXPECT_EQ(find_route("/v1/sessions/").endpoint, Endpoint::unknown);
}

TEST(HttpRoutes, KeepsAllButHealthForThoseWithAKey) {
  EXPECT_EQ(find_route("/health").access, Access::everybody);
  EXPECT_EQ(find_route("/ready").access, Access::everybody);
  for (const char* target : {"/metrics", "/v1/models", "/v1/stream", "/tokenize", "/v1/completions", "/v1/models/x"}) {
    EXPECT_EQ(find_route(target).access, Access::client) << target;
  }
}

TEST(HttpRoutes, KeepsAdminForTheAdmin) {
  EXPECT_EQ(find_route("/admin/cache").access, Access::admin);
  EXPECT_EQ(find_route("/admin/cache/advice").endpoint, Endpoint::admin_cache_advice);
  EXPECT_EQ(find_route("/admin/cache/advice").access, Access::admin);
  EXPECT_EQ(find_route("/admin/cache/").endpoint, Endpoint::unknown);
  EXPECT_EQ(find_route("/admin").endpoint, Endpoint::unknown);
}

}  // namespace
}  // namespace headwater::gateway
