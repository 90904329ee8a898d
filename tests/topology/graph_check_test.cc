#include "topology/graph_check.h"

#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::HasSubstr;

TEST(GraphCheck, EdgesToUnknownStagesNameTheNearest) {
  EXPECT_THAT(report(with("to: [match]", "to: [mach]")),
              HasSubstr("t.yaml:5:38: unknown stage \"mach\" in `to` of \"tok\" (tokenizer) (did you mean \"match\"? "
                        "known: tok, match, sched, exec, evict, detok, gateway)"));
  EXPECT_THAT(report(with("feedback: [sched, match]", "feedback: [sched, mach]")),
              HasSubstr("unknown stage \"mach\" in `feedback` of \"evict\" (cache_evictor)"));
  EXPECT_THAT(report(with("to: [tok]", "to: [tik]")), HasSubstr("unknown stage \"tik\" (did you mean \"tok\"?"));
}

TEST(GraphCheck, EdgesWhoseMessagesDoNotFitSayWhereTheyWould) {
  EXPECT_EQ(report(with("to: [match]", "to: [match, sched]")),
            "t.yaml:5:45: \"tok\" (tokenizer) sends tokenized_request, and \"sched\" (scheduler) takes "
            "matched_request; send it to a stage that takes tokenized_request: \"match\" (prefix_matcher)\n");
  EXPECT_THAT(report(with("to: [match]", "to: [match, gateway]")),
              HasSubstr("sends tokenized_request, and the gateway takes token_events"));
  EXPECT_THAT(report(with("to: [match]", "to: [match, evict]")),
              HasSubstr("\"evict\" (cache_evictor) takes nothing by `to`"));
  EXPECT_EQ(
      report(with("to: [tok]", "to: [tok, match]")),
      "t.yaml:11:46: gateway sends generate_request, and \"match\" (prefix_matcher) takes tokenized_request; send "
      "it to a stage that takes generate_request: \"tok\" (tokenizer)\n");
}

TEST(GraphCheck, StagesThatProduceNeedSomewhereToSend) {
  EXPECT_EQ(report(with(", to: [gateway] }", " }")),
            "t.yaml:10:5: \"detok\" (detokenizer) needs `to`, the stages that take its token_events: \"gateway\"\n");
  EXPECT_THAT(report(with("listen: 127.0.0.1:8080, to: [tok]", "listen: 127.0.0.1:8080")),
              HasSubstr("t.yaml:11:1: gateway needs `to`, the stages that take its generate_request: \"tok\""));
}

TEST(GraphCheck, StagesThatSendNothingHaveNoTo) {
  EXPECT_THAT(report(with("kind: cache_evictor,", "kind: cache_evictor, to: [match],")),
              HasSubstr("t.yaml:9:44: \"evict\" (cache_evictor) sends nothing by `to`; remove it"));
}

TEST(GraphCheck, RequiredKindsMustBeThereOnce) {
  EXPECT_EQ(report(with("  - { id: evict, kind: cache_evictor, feedback: [sched, match] }\n", "")),
            "t.yaml:4:1: no stage of kind cache_evictor; a topology needs one: it gives the prefix_matcher blocks when "
            "the cache is full\n");
  EXPECT_THAT(
      report(with("gateway: {", "  - { id: tok2, kind: tokenizer, to: [match] }\ngateway: {")),
      HasSubstr("t.yaml:11:5: \"tok2\" (tokenizer) is a second tokenizer; a topology has one, here \"tok\": raise "
                "its replicas instead"));
  EXPECT_THAT(report(with("gateway: {", "  - { id: s2, kind: scheduler, to: [exec] }\ngateway: {")),
              HasSubstr("\"s2\" (scheduler) is a second scheduler; a topology has one, here \"sched\": remove one"));
}

TEST(GraphCheck, ADiskTierNeedsAFolderAndIsTheOnlyOne) {
  const auto with_tier = [](const std::string& stages) { return report(with("gateway: {", stages + "gateway: {")); };
  const std::string tier = "  - { id: disk, kind: cache_tier, impl: disk, args: { path: d }, feedback: [match] }\n";
  EXPECT_EQ(with_tier(tier), "");
  EXPECT_THAT(
      with_tier(tier + with("id: disk", "id: disk2", tier)),
      HasSubstr("t.yaml:12:5: \"disk2\" (cache_tier) is a second cache_tier; a topology has one, here \"disk\": "
                "remove one of the two"));
  EXPECT_THAT(with_tier(with("args: { path: d }, ", "", tier)),
              HasSubstr("t.yaml:11:5: a cache_tier needs args: { path: … }, its folder for the blocks"));
  EXPECT_THAT(with_tier(with(", feedback: [match]", "", tier)),
              HasSubstr("\"disk\" (cache_tier) needs `feedback` to \"match\", the prefix_matcher"));
  EXPECT_THAT(with_tier(with(", impl: disk", "", tier)), HasSubstr("unknown implementation \"default\" of cache_tier"));
}

TEST(GraphCheck, FeedbackMustNameEveryKindThatWaitsForIt) {
  EXPECT_EQ(report(with(", feedback: [sched] }", " }")),
            "t.yaml:8:5: \"exec\" (executor) needs `feedback` to \"sched\", the scheduler\n");
  EXPECT_EQ(report(with("feedback: [sched, match]", "feedback: [sched]")),
            "t.yaml:9:5: \"evict\" (cache_evictor) needs `feedback` to \"match\", the prefix_matcher\n");
  EXPECT_THAT(report(with("feedback: [sched] }", "feedback: [sched, match] }")),
              HasSubstr("\"exec\" (executor) gives no feedback to a prefix_matcher; it gives it to scheduler"));
  EXPECT_THAT(report(with("kind: tokenizer,", "kind: tokenizer, feedback: [match],")),
              HasSubstr("it gives none at all, so remove it"));
}

TEST(GraphCheck, DuplicateEdgesAreRefused) {
  EXPECT_EQ(report(with("to: [exec]", "to: [exec, exec]")), "t.yaml:7:46: \"exec\" stands twice in `to`; remove one\n");
}

TEST(GraphCheck, CyclesAreShownWhole) {
  EXPECT_THAT(report(with("to: [detok],", "to: [detok, sched],")),
              HasSubstr("t.yaml:8:45: this closes a cycle: sched → exec → sched; only `feedback` may lead back"));
  EXPECT_THAT(report(with("to: [match]", "to: [tok]")), HasSubstr("this closes a cycle: tok → tok"));
}

TEST(GraphCheck, StagesThatNothingReachesAreNamed) {
  EXPECT_THAT(report(with("to: [match]", "to: [gateway]")),
              HasSubstr("t.yaml:6:5: \"match\" (prefix_matcher) is never reached: name it in the `to` of a stage that "
                        "sends tokenized_request: \"tok\" (tokenizer)"));
}

std::size_t problems(const std::string& yaml) { return parse(yaml, "t.yaml", builtin_catalog()).problems.size(); }

TEST(GraphCheck, AMistakeIsNotReportedAgainByThoseItTouches) {
  EXPECT_EQ(problems(with("to: [exec]", "to: exec")), 1U);
  EXPECT_EQ(problems(with("to: [exec]", "to: []")), 1U);
  EXPECT_EQ(problems(with("kind: prefix_matcher", "kind: prefix_macher")), 1U);
  EXPECT_EQ(problems(with("  - { id: tok, kind: tokenizer, to: [match] }\n", "", with("to: [tok]", "to: [match]"))),
            2U);
}

StageCatalog catalog_with_filter() {
  StageCatalog catalog = builtin_catalog();
  StageInfo info;
  info.kind = "filter";
  info.impl = "default";
  info.consumes = info.produces = "tokenized_request";
  info.replicable = true;
  EXPECT_TRUE(catalog.add(info).ok());
  return catalog;
}

TEST(GraphCheck, ACustomStageMayStandInBetween) {
  const std::string yaml =
      with("to: [match]", "to: [f]",
           with("gateway: {", "  - { id: f, kind: filter, replicas: 2, to: [match] }\ngateway: {"));
  EXPECT_EQ(sound(yaml, {}, catalog_with_filter()).find("f")->replicas, 2U);
  EXPECT_THAT(report(yaml), HasSubstr("unknown stage kind \"filter\""));
}

TEST(GraphCheck, CyclesThatFitByTypeAreFound) {
  const std::string yaml = with("gateway: {",
                                "  - { id: f, kind: filter, to: [g] }\n"
                                "  - { id: g, kind: filter, to: [f] }\n"
                                "gateway: {");
  EXPECT_EQ(report(yaml, {}, catalog_with_filter()),
            "t.yaml:12:33: this closes a cycle: f → g → f; only `feedback` may lead back\n");
}

TEST(GraphCheck, StagesWithoutAnIdAreNotAmongTheKnown) {
  EXPECT_THAT(report(with("id: exec", "id: 1x")), HasSubstr("known: tok, match, sched, evict, detok, gateway)"));
}

}  // namespace
}  // namespace headwater::topology
