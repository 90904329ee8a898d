#include "actors/cache_controls.h"

#include <gtest/gtest.h>

#include "cache/tenants.h"
#include "tests/actors/graph_fixture.h"

namespace headwater::test {
namespace {

using actors::check_cache_control;
using actors::keep_for;

topology::CacheSpec spec() {
  topology::CacheSpec spec;
  spec.max_priority = 60;
  spec.max_ttl_ms = 5000;
  spec.max_pinned = 0.5;
  return spec;
}

std::string param_at_fault(const Request& request, const topology::CacheSpec& spec) {
  const auto checked = check_cache_control(request, spec);
  if (checked) return "";
  EXPECT_EQ(checked.error().code, ErrorCode::invalid_request);
  EXPECT_NE(checked.error().message.find(checked.error().param), std::string::npos) << checked.error().message;
  return checked.error().param;
}

TEST(CacheControls, NamesTheFieldThatAsksForTooMuch) {
  Request request;
  EXPECT_EQ(param_at_fault(request, {}), "");
  request.cache = {60, 5000, true};
  EXPECT_EQ(param_at_fault(request, spec()), "");
  request.cache = {61, std::nullopt, false};
  EXPECT_EQ(param_at_fault(request, spec()), "cache.priority");
  request.cache = {kNormalPriority, 5001, false};
  EXPECT_EQ(param_at_fault(request, spec()), "cache.ttl");
  request.cache = {kNormalPriority, std::nullopt, true};
  EXPECT_EQ(param_at_fault(request, {}), "cache.pin") << "nobody may pin unless the operator says so";
  request.cache = {};
  request.session = std::string(257, 'x');
  EXPECT_EQ(param_at_fault(request, spec()), "session");
}

TEST(CacheControls, KeepsASessionsBlocksAsIfTheRequestHadPinnedThem) {
  Request request;
  EXPECT_EQ(keep_for(request, spec()).pin, 0);
  EXPECT_FALSE(keep_for(request, spec()).ttl.has_value());
  request.session = "chat";
  EXPECT_EQ(keep_for(request, spec()).pin, 5'000'000'000) << "max_ttl";
  request.cache.ttl_ms = 20;
  EXPECT_EQ(keep_for(request, spec()).pin, 20'000'000);
  EXPECT_EQ(keep_for(request, spec()).ttl, 20'000'000);
}

TEST(CacheControls, MakesWholeBlocksOfShares) {
  topology::CacheSpec spec;
  EXPECT_EQ(actors::retention_options(spec, 10).ttl, cache::kNever);
  EXPECT_EQ(actors::retention_options(spec, 10).max_pinned, 0U);
  EXPECT_EQ(actors::retention_options(spec, 10).tenant_quota, 10U);
  spec.cache_ttl_ms = 2;
  spec.tenant_quota = 0.01;
  spec.max_pinned = 0.39;
  EXPECT_EQ(actors::retention_options(spec, 10).ttl, 2'000'000);
  EXPECT_EQ(actors::retention_options(spec, 10).max_pinned, 3U);
  EXPECT_EQ(actors::retention_options(spec, 10).tenant_quota, 1U);
}

GraphOptions with_cache(const std::string& cache) {
  GraphOptions options;
  options.total_blocks = 16;
  options.cache = cache;
  return options;
}

/// A graph with one client.
class Served {
 public:
  explicit Served(const std::string& cache)
      : graph(with_cache(cache)), client_(graph.runtime().connect(log_.handler())) {}

  /// Serves a request of `n` prompt tokens to its end; gives how many of them were cached.
  std::uint32_t serve(std::uint32_t seed, std::size_t n, const std::string& tenant = "", const CacheControl& cache = {},
                      const std::string& session = "") {
    Request request = ask(prompt_of(seed, n), 1);
    request.tenant = tenant;
    request.cache = cache;
    request.session = session;
    const auto ticket = client_->submit(std::move(request));
    if (!ticket) return 9999;
    const std::uint32_t cached = log_.wait(ticket->id).last().usage.cached_tokens;
    graph.idle_stats();
    return cached;
  }
  Client& client() { return *client_; }

  Graph graph;

 private:
  EventLog log_;
  std::unique_ptr<Client> client_;
};

TEST(CacheControls, ForgetsWhatIsNotUsedForItsTime) {
  Served served(", cache_ttl: 1h");
  served.serve(1, 20);
  served.graph.let_pass(std::chrono::minutes(59));
  EXPECT_EQ(served.serve(1, 20), 16U);
  served.graph.let_pass(std::chrono::minutes(61));
  EXPECT_EQ(served.serve(1, 20), 0U);
  EXPECT_GT(served.graph.runtime().stats().evictions.at(static_cast<std::size_t>(EvictionReason::expired)), 0U);
}

TEST(CacheControls, RefusesARequestThatAsksForTooMuch) {
  Served served("");
  Request request = ask(prompt_of(1, 4), 1);
  request.cache.pin = true;
  const auto refused = served.client().submit(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().param, "cache.pin");
  served.graph.expect_settled();
}

TEST(CacheControls, KeepsPinnedBlocksThroughAFloodAndNotLonger) {
  Served served(", max_pinned: 0.5, max_ttl: 1h");
  served.serve(1, 24, "", {kNormalPriority, 600'000, true});
  served.serve(2, 24, "", {}, "chat");
  for (std::uint32_t seed = 10; seed < 20; ++seed) served.serve(seed, 40);
  EXPECT_EQ(served.serve(1, 24), 23U);
  EXPECT_EQ(served.serve(2, 24), 23U);
  served.graph.let_pass(std::chrono::minutes(11));
  for (std::uint32_t seed = 10; seed < 20; ++seed) served.serve(seed, 40);
  EXPECT_EQ(served.serve(1, 24), 0U);
  EXPECT_EQ(served.serve(2, 24), 23U) << "a session without a ttl lasts for max_ttl";
  served.graph.runtime().end_session("", "chat");
  for (std::uint32_t seed = 10; seed < 20; ++seed) served.serve(seed, 40);
  EXPECT_EQ(served.serve(2, 24), 0U) << "it was ended";
  served.graph.expect_settled();
}

TEST(CacheControls, GivesUpLowPrioritiesFirst) {
  Served served(", max_priority: 90");
  served.serve(1, 24, "", {90, std::nullopt, false});
  for (std::uint32_t seed = 10; seed < 20; ++seed) served.serve(seed, 40);
  EXPECT_EQ(served.serve(1, 24), 23U);
}

TEST(CacheControls, LetsNoTenantFlushAnother) {
  for (const bool quota : {true, false}) {
    Served served(quota ? ", tenant_quota: 0.5" : "");
    served.serve(1, 24, "alice");
    for (std::uint32_t seed = 10; seed < 30; ++seed) served.serve(seed, 20, "bob");
    EXPECT_EQ(served.serve(1, 24, "alice"), 23U) << "bob holds more than an equal share, with a quota and without";
    EXPECT_EQ(served.serve(29, 20, "alice"), 0U) << "what bob has is not hers";
    served.graph.expect_settled();
  }
}

TEST(CacheControls, DoesWhatAnOperatorAsksFor) {
  Served served(", max_pinned: 0.5");
  served.serve(1, 24, "alice");
  served.serve(2, 24, "bob");
  actors::GraphRuntime& runtime = served.graph.runtime();
  const std::string alice = cache::tenant_digest("alice");
  EXPECT_EQ(runtime.cache_status()->tenants_total, 2U);
  EXPECT_EQ(runtime.pin_prompt(prompt_of(1, 24), {alice, ""}, std::nullopt)->pinned, 3U);
  EXPECT_EQ(runtime.cache_status()->pinned, 3U);
  EXPECT_EQ(runtime.flush_cache(std::nullopt)->blocks, 3U);
  EXPECT_EQ(served.serve(2, 24, "bob"), 0U);
  EXPECT_EQ(served.serve(1, 24, "alice"), 23U);
  EXPECT_EQ(runtime.unpin_prompt(prompt_of(1, 24), {alice, ""})->changed, 3U);
  EXPECT_GT(runtime.flush_cache(alice)->blocks, 2U);
  EXPECT_EQ(runtime.cache_status()->tenants_total, 1U);
  Served strict("");
  EXPECT_FALSE(strict.graph.runtime().pin_prompt(prompt_of(1, 24), {}, std::nullopt).ok());
}

}  // namespace
}  // namespace headwater::test
