#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Render, GraphvizShowsStagesEdgesAndFeedback) {
  const std::string dot = to_graphviz(sound(with("kind: tokenizer,", "kind: tokenizer, replicas: 2,")));
  EXPECT_THAT(dot, StartsWith("digraph \"sound\" {\n"));
  EXPECT_THAT(dot, HasSubstr("\"tok\" [label=\"tok\\ntokenizer ×2\"];"));
  EXPECT_THAT(dot, HasSubstr("\"gateway\" [label=\"gateway\\n127.0.0.1:8080\", shape=oval];"));
  EXPECT_THAT(dot, HasSubstr("\"gateway\" -> \"tok\";"));
  EXPECT_THAT(dot, HasSubstr("\"detok\" -> \"gateway\";"));
  EXPECT_THAT(dot, HasSubstr("\"evict\" -> \"match\" [style=dashed];"));
}

TEST(Render, MermaidShowsStagesEdgesAndFeedback) {
  const std::string text = to_mermaid(sound(with("gateway: { listen: 127.0.0.1:8080, to: [tok] }\n", "")));
  EXPECT_THAT(text, StartsWith("flowchart LR\n"));
  EXPECT_THAT(text, HasSubstr("s_gateway([\"host program\"])"));
  EXPECT_THAT(text, HasSubstr("s_sched[\"sched<br/>scheduler\"]"));
  EXPECT_THAT(text, HasSubstr("s_tok --> s_match\n"));
  EXPECT_THAT(text, HasSubstr("s_exec -.-> s_sched\n"));
}

TEST(Render, ANameCannotBreakOutOfItsQuotes) {
  const std::string dot = to_graphviz(sound(with("name: sound", "name: 'a\" { evil }'")));
  EXPECT_THAT(dot, StartsWith("digraph \"a\\\" { evil }\" {\n"));
}

}  // namespace
}  // namespace headwater::topology
