#include "actors/warm_up.h"

#include <gmock/gmock.h>

#include "tests/actors/graph_fixture.h"

namespace headwater::actors {
namespace {

using test::ask;
using test::EventLog;
using test::Graph;
using test::prompt_of;

topology::WarmupPrompt named(std::string name, std::vector<TokenId> tokens) {
  return {std::move(name), std::move(tokens)};
}

/// What a request finds in the cache.
std::uint32_t cached(Graph& graph, const std::vector<TokenId>& prompt, const std::string& tenant = "") {
  EventLog log;
  const auto client = graph.runtime().connect(log.handler());
  Request request = ask(prompt, 1);
  request.tenant = tenant;
  graph.idle_stats();
  return log.wait(client->submit(request)->id).last().usage.cached_tokens;
}

TEST(WarmUp, CachesThePromptsSoThatTheFirstRequestFindsThem) {
  Graph graph;
  const std::vector<topology::WarmupPrompt> prompts = {named("a", prompt_of(1, 41)), named("b", prompt_of(2, 30))};
  ASSERT_TRUE(warm_up(graph.runtime(), prompts, {}).ok());
  EXPECT_EQ(graph.idle_stats().finished, 2U);
  EXPECT_EQ(cached(graph, prompt_of(1, 41)), 40U);
  EXPECT_EQ(cached(graph, prompt_of(2, 30)), 29U);
  EXPECT_EQ(cached(graph, prompt_of(3, 30)), 0U);
  graph.expect_settled();
}

TEST(WarmUp, IsForEveryTenantThatIsNamed) {
  Graph graph;
  const std::vector<topology::WarmupPrompt> prompts = {named("a", prompt_of(1, 41))};
  const std::vector<std::string> tenants = {"x", "y"};
  ASSERT_TRUE(warm_up(graph.runtime(), prompts, tenants).ok());
  EXPECT_EQ(cached(graph, prompt_of(1, 41), "x"), 40U);
  EXPECT_EQ(cached(graph, prompt_of(1, 41), "y"), 40U);
  EXPECT_EQ(cached(graph, prompt_of(1, 41), ""), 0U);
}

TEST(WarmUp, EndsWithTheNameOfThePromptThatIsRefused) {
  Graph graph;
  const std::vector<topology::WarmupPrompt> prompts = {
      named("first", prompt_of(1, 9)), named("second", prompt_of(2, 1000)), named("third", prompt_of(3, 9))};
  const auto warm = warm_up(graph.runtime(), prompts, {});
  ASSERT_FALSE(warm.ok());
  EXPECT_EQ(warm.error().code, ErrorCode::context_length_exceeded);
  EXPECT_THAT(
      warm.error().message,
      testing::StartsWith("second: This model's maximum context length is 256 tokens. However, the prompt has 1000 "
                          "tokens"));
  EXPECT_EQ(graph.idle_stats().accepted, 2U);
  graph.expect_settled();
}

TEST(WarmUp, DoesNothingWithoutPrompts) {
  Graph graph;
  EXPECT_TRUE(warm_up(graph.runtime(), {}, {}).ok());
  EXPECT_EQ(graph.runtime().stats().accepted, 0U);
}

}  // namespace
}  // namespace headwater::actors
