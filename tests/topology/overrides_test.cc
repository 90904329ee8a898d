#include "topology/overrides.h"

#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::HasSubstr;

TEST(Overrides, ReplaceWhatTheFileSays) {
  Overrides overrides;
  overrides.model = "other.gguf";
  overrides.chat_template = "gemma";
  overrides.pre_tokenizer = "qwen2";
  overrides.listen = "[::1]:99";
  overrides.cache_size_limit = "64MiB";
  overrides.enable_prefix_caching = false;
  overrides.prefix_match_threshold = 0.25;
  overrides.cache_ttl = "5m";
  overrides.tenant_quota = 0.5;
  overrides.max_pinned = 0.125;
  overrides.max_batch_size = 5;
  overrides.draft_tokens = 3;
  overrides.prefill_chunk = 16;
  overrides.threads = 2;
  overrides.session_len = 100;
  overrides.max_queued = 9;
  overrides.max_wait = "90s";
  overrides.quant_policy = "8";
  const Topology topology = sound(kSound, overrides);
  EXPECT_EQ(topology.model.path, "other.gguf");
  EXPECT_EQ(topology.model.chat_template, "gemma");
  EXPECT_EQ(topology.model.pre_tokenizer, "qwen2");
  EXPECT_EQ(topology.gateway.host, "::1");
  EXPECT_EQ(topology.gateway.port, 99);
  EXPECT_EQ(topology.cache.size_limit.bytes, std::uint64_t{64} << 20);
  EXPECT_FALSE(topology.cache.enable_prefix_caching);
  EXPECT_DOUBLE_EQ(topology.cache.prefix_match_threshold, 0.25);
  EXPECT_EQ(topology.cache.cache_ttl_ms, 300'000U);
  EXPECT_DOUBLE_EQ(topology.cache.tenant_quota, 0.5);
  EXPECT_DOUBLE_EQ(topology.cache.max_pinned, 0.125);
  EXPECT_EQ(topology.find("sched")->integer("max_batch_size"), 5);
  EXPECT_EQ(topology.find("sched")->integer("draft_tokens"), 3);
  EXPECT_EQ(topology.find("sched")->integer("prefill_chunk"), 16);
  EXPECT_EQ(topology.find("exec")->integer("threads"), 2);
  EXPECT_EQ(topology.threads, 2U);
  EXPECT_EQ(topology.session_len, 100U);
  EXPECT_EQ(topology.gateway.max_queued, 9U);
  EXPECT_EQ(topology.find("sched")->integer("max_wait"), 90'000);
}

TEST(Overrides, StandInForMissingParts) {
  Overrides overrides;
  overrides.model = "other.gguf";
  EXPECT_EQ(sound(with("model: { path: m.gguf }\n", ""), overrides).model.path, "other.gguf");
}

TEST(Overrides, SilenceTheMistakeThatTheyReplace) {
  Overrides overrides;
  overrides.cache_size_limit = "64MiB";
  const std::string yaml = with("2GiB", "nonsense");
  EXPECT_NE(report(yaml), "");
  EXPECT_EQ(report(yaml, overrides), "");
}

TEST(Overrides, BadOnesAreReportedUnderTheirFlag) {
  Overrides overrides;
  overrides.quant_policy = "5";
  overrides.cache_size_limit = "2";
  overrides.prefix_match_threshold = -1;
  overrides.max_batch_size = 0;
  overrides.max_wait = "5";
  overrides.listen = "nowhere";
  const std::string said = report(kSound, overrides);
  EXPECT_THAT(said, HasSubstr("command line: --quant-policy: quant_policy is \"5\"; supported are 0"));
  EXPECT_THAT(said, HasSubstr("command line: --cache-size-limit: cache_size_limit is \"2\"; expected"));
  EXPECT_THAT(said, HasSubstr("command line: --prefix-match-threshold: prefix_match_threshold is \"-1\"; expected a"));
  EXPECT_THAT(said, HasSubstr("command line: --max-batch-size: max_batch_size is \"0\"; expected a whole number"));
  EXPECT_THAT(said, HasSubstr("command line: --max-wait: max_wait is \"5\"; expected a time with its unit"));
  EXPECT_THAT(said, HasSubstr("command line: --listen: \"nowhere\" is no address"));
  EXPECT_THAT(said, testing::Not(HasSubstr("t.yaml")));
}

TEST(Overrides, AddADiskTierWhereThereIsNone) {
  Overrides overrides;
  overrides.cache_dir = "/var/cache/headwater";
  overrides.cache_dir_size = "1GiB";
  const Topology topology = sound(kSound, overrides);
  const Stage* tier = topology.find_kind("cache_tier");
  ASSERT_NE(tier, nullptr);
  EXPECT_EQ(tier->impl, "disk");
  EXPECT_EQ(tier->text("path"), "/var/cache/headwater");
  EXPECT_EQ(tier->integer("size_limit"), 1 << 30);
  EXPECT_EQ(tier->feedback, std::vector<std::string>{"match"});
  EXPECT_EQ(sound(kSound).find_kind("cache_tier"), nullptr);
}

TEST(Overrides, ReplaceWhereADiskTierLies) {
  const std::string yaml = with("gateway: {",
                                "  - { id: disk, kind: cache_tier, impl: rocksdb, args: { path: here, size_limit: "
                                "1GiB }, feedback: [match] }\ngateway: {");
  Overrides overrides;
  overrides.cache_dir = "there";
  const Topology topology = sound(yaml, overrides);
  EXPECT_EQ(topology.stages.size(), 7U);
  EXPECT_EQ(topology.find("disk")->text("path"), "there");
  EXPECT_EQ(topology.find("disk")->integer("size_limit"), 1 << 30);
}

TEST(Overrides, OfADiskTierAreReportedUnderTheirFlag) {
  Overrides overrides;
  overrides.cache_dir_size = "1GiB";
  EXPECT_EQ(report(kSound, overrides),
            "command line: --cache-dir-size: the topology has no cache_tier; give --cache-dir, too\n");
  overrides.cache_dir = "x";
  overrides.cache_dir_size = "1MiB";
  EXPECT_THAT(report(kSound, overrides), HasSubstr("command line: --cache-dir-size: size_limit is \"1MiB\"; expected a "
                                                   "size such as 4MiB or 4096 (bytes), from 16MiB to 256GiB"));
}

TEST(Overrides, QueueLimitsHoldWithoutAGateway) {
  const std::string yaml = with("gateway: { listen: 127.0.0.1:8080, to: [tok] }\n", "");
  Overrides overrides;
  overrides.max_queued = 3;
  const Topology topology = sound(yaml, overrides);
  EXPECT_FALSE(topology.gateway.present);
  EXPECT_EQ(topology.gateway.max_queued, 3U);
  overrides.listen = "127.0.0.1:1";
  EXPECT_EQ(report(yaml, overrides).find("command line: --listen: the topology has no gateway section"), 0U);
}

}  // namespace
}  // namespace headwater::topology
