#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::ElementsAre;

TEST(Catalog, ListsTheBuiltInKindsAlongThePath) {
  const StageCatalog catalog = builtin_catalog();
  EXPECT_THAT(catalog.kinds(), ElementsAre("tokenizer", "prefix_matcher", "scheduler", "executor", "cache_evictor",
                                           "detokenizer", "cache_tier"));
  EXPECT_THAT(catalog.impls("cache_tier"), ElementsAre("disk", "rocksdb"));
  EXPECT_THAT(catalog.impls("scheduler"), ElementsAre("default"));
  EXPECT_TRUE(catalog.impls("nonsense").empty());
}

TEST(Catalog, EachStageTakesWhatTheOneBeforeItSends) {
  const StageCatalog catalog = builtin_catalog();
  std::string message = "generate_request";
  for (const char* kind : {"tokenizer", "prefix_matcher", "scheduler", "executor", "detokenizer"}) {
    EXPECT_EQ(catalog.find(kind, "default")->consumes, message);
    message = catalog.find(kind, "default")->produces;
  }
  EXPECT_EQ(message, "token_events");
}

TEST(Catalog, RefusesASecondOfTheSameName) {
  StageCatalog catalog = builtin_catalog();
  StageInfo info;
  info.kind = "scheduler";
  info.impl = "default";
  const auto added = catalog.add(info);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, ErrorCode::duplicate_stage_kind);
  info.impl = "mine";
  EXPECT_TRUE(catalog.add(info).ok());
  EXPECT_THAT(catalog.impls("scheduler"), ElementsAre("default", "mine"));
}

TEST(Catalog, EveryArgumentExplainsItselfAndHasAFallbackInRange) {
  const StageCatalog catalog = builtin_catalog();
  for (const StageInfo& info : catalog.all()) {
    for (const ArgSpec& spec : info.args) {
      EXPECT_FALSE(spec.help.empty()) << info.kind << " " << spec.name;
      if (const auto* value = std::get_if<std::int64_t>(&spec.fallback)) {
        EXPECT_GE(static_cast<double>(*value), spec.min);
        EXPECT_LE(static_cast<double>(*value), spec.max);
      }
    }
  }
}

}  // namespace
}  // namespace headwater::topology
