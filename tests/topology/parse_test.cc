#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/tiny_gguf.h"
#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Parse, EveryTopologyThatShipsChecksClean) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("topologies")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const auto outcome = parse(text.str(), entry.path().string(), builtin_catalog());
    EXPECT_TRUE(outcome.topology.has_value()) << outcome.report(entry.path().string());
  }
  EXPECT_GE(files, 1);
}

TEST(Parse, GivesWhatTheFileSaysAndDefaultsForTheRest) {
  const Topology topology = sound(kSound);
  EXPECT_EQ(topology.source, "t.yaml");
  EXPECT_EQ(topology.name, "sound");
  EXPECT_EQ(topology.model.path, "m.gguf");
  EXPECT_EQ(topology.cache.size_limit.bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(topology.cache.block_tokens, 32U);
  EXPECT_TRUE(topology.cache.enable_prefix_caching);
  EXPECT_DOUBLE_EQ(topology.cache.prefix_match_threshold, 0.8);
  EXPECT_EQ(topology.cache.cache_ttl_ms, 0U);
  EXPECT_DOUBLE_EQ(topology.cache.tenant_quota, 1);
  EXPECT_EQ(topology.cache.max_priority, 50);
  EXPECT_EQ(topology.cache.max_ttl_ms, 3'600'000U);
  EXPECT_DOUBLE_EQ(topology.cache.max_pinned, 0);
  EXPECT_TRUE(topology.gateway.present);
  EXPECT_EQ(topology.gateway.host, "127.0.0.1");
  EXPECT_EQ(topology.gateway.port, 8080);
  EXPECT_THAT(topology.gateway.to, ElementsAre("tok"));
  ASSERT_EQ(topology.stages.size(), 6U);
  const Stage& scheduler = *topology.find("sched");
  EXPECT_EQ(scheduler.impl, "default");
  EXPECT_EQ(scheduler.replicas, 1U);
  EXPECT_EQ(scheduler.integer("max_batch_size"), 48);
  EXPECT_EQ(scheduler.integer("max_step_tokens"), 512);
  EXPECT_EQ(scheduler.integer("prefill_chunk"), 256);
  EXPECT_THAT(scheduler.to, ElementsAre("exec"));
  EXPECT_EQ(scheduler.where.line, 7);
  EXPECT_EQ(scheduler.where.column, 5);
  EXPECT_EQ(topology.find("exec")->text("backend"), "cpu");
  EXPECT_EQ(topology.find("evict")->text("policy"), "lru");
  EXPECT_THAT(topology.find("evict")->feedback, ElementsAre("sched", "match"));
  EXPECT_EQ(topology.find("tok")->integer("max_prompt_bytes"), 4 << 20);
}

TEST(Parse, ReadsEveryKey) {
  std::string yaml = with("model: { path: m.gguf }",
                          "model: { path: m.gguf, name: smol, chat_template: chatml, pre_tokenizer: gpt-2 }");
  yaml = with("cache: { cache_size_limit: 2GiB }",
              "cache: { quant_policy: 0, cache_size_limit: 0.6, block_tokens: 16, enable_prefix_caching: false, "
              "prefix_match_threshold: 0.5, cache_ttl: 300s, tenant_quota: 0.4, max_priority: 90, max_ttl: 2h, "
              "max_pinned: 0.25 }\n"
              "session_len: 2048\nthreads: 3",
              yaml);
  yaml = with("gateway: { listen: 127.0.0.1:8080,",
              "gateway: { listen: 'localhost:0', max_queued: 7, max_per_connection: 3, max_connections: 5, "
              "max_body_bytes: 1MiB, max_sessions: 9, max_session_bytes: 2KiB, session_ttl: 5m, max_answer_bytes: "
              "3MiB, strict_fields: true, max_buffered: 64MiB, allow_origins: ['https://app.example', '*'], "
              "allow_hosts: [ai.example],",
              yaml);
  yaml =
      with("kind: tokenizer,", "kind: tokenizer, impl: default, replicas: 2, args: { max_prompt_bytes: 1KiB },", yaml);
  const Topology topology = sound(yaml);
  EXPECT_EQ(topology.model.name, "smol");
  EXPECT_EQ(topology.model.chat_template, "chatml");
  EXPECT_EQ(topology.model.pre_tokenizer, "gpt-2");
  EXPECT_EQ(topology.cache.size_limit.bytes, 0U);
  EXPECT_DOUBLE_EQ(topology.cache.size_limit.share, 0.6);
  EXPECT_EQ(topology.cache.block_tokens, 16U);
  EXPECT_FALSE(topology.cache.enable_prefix_caching);
  EXPECT_DOUBLE_EQ(topology.cache.prefix_match_threshold, 0.5);
  EXPECT_EQ(topology.cache.cache_ttl_ms, 300'000U);
  EXPECT_DOUBLE_EQ(topology.cache.tenant_quota, 0.4);
  EXPECT_EQ(topology.cache.max_priority, 90);
  EXPECT_EQ(topology.cache.max_ttl_ms, 7'200'000U);
  EXPECT_DOUBLE_EQ(topology.cache.max_pinned, 0.25);
  EXPECT_EQ(topology.session_len, 2048U);
  EXPECT_EQ(topology.threads, 3U);
  EXPECT_EQ(topology.gateway.host, "localhost");
  EXPECT_EQ(topology.gateway.port, 0);
  EXPECT_EQ(topology.gateway.max_queued, 7U);
  EXPECT_EQ(topology.gateway.max_per_connection, 3U);
  EXPECT_EQ(topology.gateway.max_connections, 5U);
  EXPECT_EQ(topology.gateway.max_sessions, 9U);
  EXPECT_EQ(topology.gateway.max_session_bytes, 2048U);
  EXPECT_EQ(topology.gateway.max_answer_bytes, 3U << 20U);
  EXPECT_TRUE(topology.gateway.strict_fields);
  EXPECT_EQ(topology.gateway.max_buffered, 64U << 20U);
  EXPECT_THAT(topology.gateway.allow_origins, ElementsAre("https://app.example", "*"));
  EXPECT_THAT(topology.gateway.allow_hosts, ElementsAre("ai.example"));
  EXPECT_EQ(topology.gateway.session_ttl_ms, 300'000U);
  EXPECT_EQ(topology.gateway.max_body_bytes, 1U << 20);
  EXPECT_EQ(topology.find("tok")->replicas, 2U);
  EXPECT_EQ(topology.find("tok")->integer("max_prompt_bytes"), 1024);
}

TEST(Parse, WithoutAGatewayTheStagesThatTakeRequestsAreFound) {
  const Topology topology = sound(with("gateway: { listen: 127.0.0.1:8080, to: [tok] }\n", ""));
  EXPECT_FALSE(topology.gateway.present);
  EXPECT_THAT(topology.gateway.to, ElementsAre("tok"));
}

TEST(Parse, AFileWithoutANameIsCalledAfterItsStem) { EXPECT_EQ(sound(with("name: sound\n", "")).name, "t"); }

TEST(Parse, UnknownKeysAreNamedWithThePlaceAndTheNearestKnownOne) {
  EXPECT_EQ(report(with("model:", "modle:")),
            "t.yaml:1:1: no model; add model: { path: models/default.gguf }, or pass --model\n"
            "t.yaml:2:1: unknown key \"modle\" in the topology (did you mean \"model\"? known: name, model, cache, "
            "stages, gateway, session_len, threads)\n");
  EXPECT_THAT(report(with("path: m.gguf", "path: m.gguf, nam: x")),
              StartsWith("t.yaml:2:24: unknown key \"nam\" in model (did you mean \"name\"?"));
  EXPECT_THAT(report(with("cache_size_limit: 2GiB", "cache_tl: 300s")),
              HasSubstr("t.yaml:3:10: unknown key \"cache_tl\" in cache ("));
  EXPECT_THAT(report(with("listen: 127.0.0.1:8080", "lisen: 127.0.0.1:8080")),
              HasSubstr("t.yaml:11:12: unknown key \"lisen\" in gateway (did you mean \"listen\"?"));
  EXPECT_THAT(report(with("kind: scheduler,", "kind: scheduler, argz: {},")),
              HasSubstr("t.yaml:7:35: unknown key \"argz\" in this stage (did you mean \"args\"?"));
}

TEST(Parse, UnknownArgsAreNamed) {
  EXPECT_THAT(report(with("kind: scheduler,", "kind: scheduler, args: { max_batch: 4 },")),
              StartsWith("t.yaml:7:43: unknown key \"max_batch\" in args of scheduler (did you mean "
                         "\"max_batch_size\"? known: max_batch_size, max_step_tokens, prefill_chunk, "
                         "mixed_prefill_tokens, draft_tokens, max_wait, admission)"));
  EXPECT_EQ(report(with("kind: detokenizer,", "kind: detokenizer, args: { x: 4 },")),
            "t.yaml:10:45: a detokenizer takes no args; remove \"x\"\n");
}

TEST(Parse, UnknownKindsAndImplementationsAreNamedWithoutFollowUps) {
  EXPECT_EQ(report(with("kind: scheduler", "kind: schedular")),
            "t.yaml:7:24: unknown stage kind \"schedular\" (did you mean \"scheduler\"? known: tokenizer, "
            "prefix_matcher, scheduler, executor, cache_evictor, detokenizer, cache_tier)\n");
  EXPECT_EQ(report(with("kind: executor", "kind: executor, impl: defualt")),
            "t.yaml:8:39: unknown implementation \"defualt\" of executor (did you mean \"default\"? known: default)\n");
}

TEST(Parse, ValuesOutOfRangeSayTheRange) {
  const auto args = [](const std::string& text) {
    return report(with("kind: scheduler,", "kind: scheduler, args: { " + text + " },"));
  };
  EXPECT_EQ(args("max_batch_size: 0"),
            "t.yaml:7:59: max_batch_size is \"0\"; expected a whole number from 1 to 4096\n");
  EXPECT_THAT(args("max_batch_size: 4097"), HasSubstr("from 1 to 4096"));
  EXPECT_THAT(args("max_step_tokens: 15"), HasSubstr("from 16 to 65536"));
  EXPECT_THAT(args("prefill_chunk: -1"), HasSubstr("from 1 to 65536"));
  EXPECT_THAT(args("prefill_chunk: 99999999999999999999"), HasSubstr("from 1 to 65536"));
  EXPECT_EQ(args("max_batch_size: 4096, max_step_tokens: 65536, prefill_chunk: 65536"), "");
  EXPECT_THAT(report(with("kind: executor,", "kind: executor, args: { backend: gpu },")),
              HasSubstr("backend is \"gpu\"; expected cpu; did you mean \"cpu\"?"));
  EXPECT_THAT(report(with("kind: tokenizer,", "kind: tokenizer, args: { max_prompt_bytes: 65MiB },")),
              HasSubstr("from 1 byte to 64MiB"));
  EXPECT_THAT(report(with("kind: tokenizer,", "kind: tokenizer, replicas: 65,")), HasSubstr("from 1 to 64"));
  EXPECT_THAT(report("session_len: 16777217\n" + kSound), HasSubstr("t.yaml:1:14: session_len is"));
}

TEST(Parse, QuantPoliciesThatDoNotExistSayWhichDo) {
  for (const std::string policy : {"16", "k8", "-1", "int8", "8-nofirst", "[0]"}) {
    EXPECT_THAT(report(with("cache: {", "cache: { quant_policy: " + policy + ",")),
                HasSubstr("supported are 0 (keys and values in 16 bits), 8, 4 and k8v4"))
        << policy;
  }
  for (const std::string bits : {"{ k: 8 }", "{ k: 6, v: 4 }", "{}"}) {
    EXPECT_THAT(report(with("cache: {", "cache: { quant_policy: " + bits + ",")),
                HasSubstr("needs the bits of keys and of values, 8 or 4 each: { k: 8, v: 4 }"))
        << bits;
  }
  EXPECT_THAT(report(with("cache: {", "cache: { quant_policy: { k: 8, v: 16 },")), HasSubstr("from 4 to 8"));
  EXPECT_THAT(report(with("cache: {", "cache: { quant_policy: { k: 8, q: 4 },")), HasSubstr("\"q\""));
}

TEST(Parse, QuantPoliciesCanBeWrittenInSeveralWays) {
  const auto format = [](const std::string& policy) {
    return sound(with("cache: {", "cache: { quant_policy: " + policy + ",")).cache.format;
  };
  EXPECT_EQ(format("0"), kernels::KvFormat{});
  EXPECT_EQ(format("8").key_bits, 8);
  EXPECT_EQ(format("'4'").value_bits, 4);
  EXPECT_EQ(format("{ k: 8, v: 4 }"), *kernels::parse_quant_policy("k8v4"));
  EXPECT_EQ(format("k8v4"), format("{ k: 8, v: 4 }"));
  EXPECT_EQ(format("{ k: 4, v: 4 }"), format("4"));
}

TEST(Parse, ChatTemplatesAreNamesOrFilesThatCanBeRead) {
  const auto report_of = [](const std::string& value) {
    return report(with("model: { path: m.gguf }", "model: { path: m.gguf, chat_template: '" + value + "' }"));
  };
  const test::TemporaryFile good("{% for m in messages %}{{ m.content }}{% endfor %}");
  EXPECT_EQ(report_of(good.path()), "");
  const test::TemporaryFile bad("{% for m in messages %}\n{{ m.content");
  EXPECT_THAT(report_of(bad.path()),
              StartsWith("t.yaml:2:39: the chat template " + bad.path() + " cannot be read: line 2: expected \"}}\""));
  EXPECT_THAT(report_of("chatlm"), StartsWith("t.yaml:2:39: unknown chat template \"chatlm\": No such file"));
}

TEST(Parse, PreTokenizersAreKnownNames) {
  const auto report_of = [](const std::string& value) {
    return report(with("model: { path: m.gguf }", "model: { path: m.gguf, pre_tokenizer: '" + value + "' }"));
  };
  EXPECT_EQ(report_of("qwen2"), "");
  EXPECT_THAT(report_of("martian"),
              StartsWith("t.yaml:2:39: unknown pre-tokenizer \"martian\", expected one of llama-bpe, llama3"));
}

TEST(Parse, BlockTokensMustBeAPowerOfTwo) {
  EXPECT_EQ(report(with("cache: {", "cache: { block_tokens: 48,")),
            "t.yaml:3:24: block_tokens is 48; expected a power of two: 8, 16, 32, 64, 128 or 256\n");
  EXPECT_THAT(report(with("cache: {", "cache: { block_tokens: 4,")), HasSubstr("from 8 to 256"));
}

TEST(Parse, WrongYamlTypesSayWhatStandsThereAndWhatShould) {
  EXPECT_EQ(report(with("model: { path: m.gguf }", "model: m.gguf")),
            "t.yaml:2:8: model is \"m.gguf\"; expected a map with path, name, chat_template, pre_tokenizer\n");
  EXPECT_EQ(report(with("to: [exec]", "to: exec")),
            "t.yaml:7:39: to is \"exec\"; expected a list of stage ids such as [exec]\n");
  EXPECT_THAT(report(with("to: [exec]", "to: [exec, [a]]")),
              StartsWith("t.yaml:7:46: this entry of to is a list; expected a stage id"));
  EXPECT_THAT(report(with("path: m.gguf", "path: [m.gguf]")), HasSubstr("path is a list; expected text"));
  EXPECT_THAT(report(with("path: m.gguf", "path:")), HasSubstr("path is empty; expected text"));
  EXPECT_THAT(report(with("cache: {", "cache: { enable_prefix_caching: yes,")),
              HasSubstr("enable_prefix_caching is \"yes\"; expected true or false"));
  const std::pair<const char*, const char*> kept[] = {
      {"cache_ttl: 300", "cache_ttl is \"300\"; expected a time with its unit"},
      {"cache_ttl: 31h31", "cache_ttl is \"31h31\"; expected a time with its unit"},
      {"max_ttl: 0", "max_ttl is \"0\"; expected a time"},
      {"max_ttl: 721h", "max_ttl is \"721h\"; expected a time"},
      {"tenant_quota: 0", "tenant_quota is \"0\"; expected a number from 0.01 to 1"},
      {"max_pinned: 0.95", "max_pinned is \"0.95\"; expected a number from 0 to 0.9"},
      {"max_priority: 101", "max_priority is \"101\"; expected a whole number from 0 to 100"}};
  for (const auto& [written, said] : kept) {
    EXPECT_THAT(report(with("cache: {", "cache: { " + std::string(written) + ",")), HasSubstr(said));
  }
  EXPECT_THAT(report(with("cache: {", "cache: { prefix_match_threshold: 1.5,")),
              HasSubstr("prefix_match_threshold is \"1.5\"; expected a number from 0 to 1"));
  EXPECT_THAT(report(with("kind: scheduler,", "kind: scheduler, args: { max_batch_size: '8' },")),
              HasSubstr("max_batch_size is the text \"8\"; expected a whole number"));
  EXPECT_THAT(report("[1, 2]"), StartsWith("t.yaml:1:1: the topology is a list; expected a map with name, model"));
  EXPECT_THAT(report("model: { path: m }\nstages: 5\n"), HasSubstr("t.yaml:2:9: stages is \"5\"; expected a list"));
  EXPECT_THAT(report("model: { path: m }\nstages: [5]\n"),
              HasSubstr("t.yaml:2:10: this stage is \"5\"; expected a map"));
}

TEST(Parse, MissingPartsAreNamed) {
  EXPECT_THAT(report("model: { path: m.gguf }\n"), StartsWith("t.yaml:1:1: no stages; add a list of tokenizer, "));
  EXPECT_EQ(report(with("path: m.gguf", "name: x")), "t.yaml:2:8: model needs a path, that of a GGUF file\n");
  EXPECT_THAT(report(with("id: sched, ", "")), HasSubstr("t.yaml:7:5: this stage needs an id, such as \"scheduler\""));
  EXPECT_THAT(report(with(" kind: scheduler,", "")),
              HasSubstr("t.yaml:7:5: this stage needs a kind (known: tokenizer"));
}

TEST(Parse, IdsAreCheckedAndReserved) {
  EXPECT_THAT(report(with("id: tok,", "id: 1tok,")),
              HasSubstr("t.yaml:5:11: the id \"1tok\" is not valid; expected a letter"));
  EXPECT_THAT(report(with("id: tok,", "id: gateway,")), HasSubstr("the id \"gateway\" is reserved"));
  EXPECT_THAT(report(with("id: match,", "id: tok,")),
              HasSubstr("t.yaml:6:11: the id \"tok\" stands twice, first in line 5; give each stage its own"));
}

TEST(Parse, OnlyStagesWithoutStateOfTheirOwnAreReplicated) {
  EXPECT_EQ(report(with("kind: scheduler,", "kind: scheduler, replicas: 2,")),
            "t.yaml:7:45: a scheduler cannot be replicated, because it owns state that is in one place; remove "
            "replicas\n");
  EXPECT_EQ(report(with("kind: detokenizer,", "kind: detokenizer, replicas: 2,")), "");
}

TEST(Parse, AllProblemsAreReportedInFileOrder) {
  std::string yaml = with("path: m.gguf", "path: m.gguf, foo: 1");
  yaml = with("2GiB", "2", yaml);
  yaml = with("kind: executor", "kind: executer", yaml);
  yaml = with("127.0.0.1:8080", "8080", yaml);
  const auto outcome = parse(yaml, "t.yaml", builtin_catalog());
  EXPECT_FALSE(outcome.topology.has_value());
  std::vector<int> lines;
  for (const Problem& problem : outcome.problems) lines.push_back(problem.where.line);
  EXPECT_THAT(lines, ElementsAre(2, 3, 8, 11)) << outcome.report("t.yaml");
}

}  // namespace
}  // namespace headwater::topology
