#include "gateway/cache_report.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

TEST(CacheReport, SaysWhatAPromptFoundAndWhyNoMore) {
  const Usage usage{.prompt_tokens = 100,
                    .completion_tokens = 5,
                    .cached_tokens = 70,
                    .cache = {6, CacheSource::memory, CacheMiss::evicted, 29}};
  EXPECT_EQ(cache_json({&usage, 1}), Json::parse(R"({"matched_tokens": 70, "copied_tokens": 6, "source": "memory",
                                                     "miss": {"reason": "evicted", "tokens": 29}})"));
}

TEST(CacheReport, HasNoMissWhereAllWasFound) {
  const Usage usage{.prompt_tokens = 10, .completion_tokens = 1, .cached_tokens = 9, .cache = {1, CacheSource::disk}};
  EXPECT_EQ(cache_json({&usage, 1}),
            Json::parse(R"({"matched_tokens": 9, "copied_tokens": 1, "source": "disk", "miss": null})"));
  EXPECT_EQ(cache_json({}),
            Json::parse(R"({"matched_tokens": 0, "copied_tokens": 0, "source": "none", "miss": null})"));
}

TEST(CacheReport, SumsPromptsAndNamesTheReasonOfMostTokens) {
  const Usage usages[] = {{10, 1, 4, {1, CacheSource::memory, CacheMiss::never_seen, 5}},
                          {30, 1, 9, {2, CacheSource::disk, CacheMiss::below_threshold, 20}},
                          {8, 1, 0, {0, CacheSource::none, CacheMiss::bypassed, 7}}};
  EXPECT_EQ(cache_json(usages), Json::parse(R"({"matched_tokens": 13, "copied_tokens": 3, "source": "disk",
                                                "miss": {"reason": "below_threshold", "tokens": 32}})"));
}

}  // namespace
}  // namespace headwater::gateway
