// The built `headwater` command as a person runs it: exit statuses, help, errors, and one session of each kind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/integration/cli_fixture.h"
#include "tests/support/model_file.h"

namespace headwater::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(Cli, EveryCommandExplainsItselfWithAnExample) {
  for (const std::string command : {"", "serve", "run", "chat", "tokenize", "model", "model info", "model list",
                                    "model pull", "topology", "topology check", "topology graph", "topology options",
                                    "eval", "eval perplexity", "eval mmlu", "eval kl", "cachesim"}) {
    const Ran ran = run(command + " --help");
    EXPECT_EQ(ran.status, 0) << command;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("Usage: headwater"), HasSubstr("Example"))) << command;
    EXPECT_THAT(ran.err, IsEmpty()) << command;
  }
}

TEST_F(Cli, WrongUsageEndsWithTwo) {
  for (const char* arguments : {"",
                                "nonsense",
                                "serve --nonsense",
                                "serve --threads many",
                                "serve --threads=-1",
                                "serve --drain-timeout=-1",
                                "serve --log-level loud",
                                "serve --api-key ''",
                                "serve --admin-key ''",
                                "serve --admin-key a --admin-key-file b",
                                "run",
                                "run hi --raw --system x",
                                "run hi --temperature 101",
                                "run hi --max-tokens 0",
                                "topology",
                                "topology check",
                                "topology graph a.yaml --format png",
                                "model info",
                                "model pull",
                                "tokenize",
                                "eval",
                                "eval perplexity",
                                "eval mmlu",
                                "eval perplexity --text x --quant-policy 7",
                                "eval perplexity --text x --quant-policy 0,0",
                                "eval perplexity --text x --window 1",
                                "eval perplexity --text x --limit=-1",
                                "eval mmlu --data x --precision some",
                                "eval kl --base-quant-policy 0,8",
                                "eval kl --base-precision some",
                                "model info x --context=-1",
                                "cachesim",
                                "cachesim --trace x --policy best",
                                "cachesim --trace x --policy lru,lru",
                                "cachesim --trace x --capacity 0%",
                                "cachesim --trace x --capacity 101%",
                                "cachesim --trace x --capacity 1.5",
                                "cachesim --trace x --capacity=-3",
                                "cachesim --trace x --seed 4",
                                "cachesim --trace x --part first",
                                "cachesim --families --part third",
                                "cachesim --families --json",
                                "cachesim --families --policy lru"}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.status, 2) << arguments << "\n" << ran.err;
    EXPECT_THAT(ran.err, testing::Not(IsEmpty())) << arguments;
    EXPECT_THAT(ran.out, IsEmpty()) << arguments;
  }
}

TEST_F(Cli, ServeWantsOneAdminKeyInAFile) {
  for (const char* text : {"", "\n", "a\nb\n"}) {
    const Ran ran = run("serve --admin-key-file " + write("key", text));
    EXPECT_EQ(ran.status, 1) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("--admin-key-file"), HasSubstr("one line"))) << text;
  }
  EXPECT_THAT(run("serve --admin-key-file " + path("none")).err, HasSubstr("cannot open"));
}

TEST_F(Cli, ComparesEvictionPoliciesOnATrace) {
  std::ofstream trace(path("trace.jsonl"));
  for (int i = 0; i < 40; ++i) {
    trace << R"({"timestamp": )" << i << R"(, "input_length": 1024, "output_length": 1, "hash_ids": [0, )" << 1 + i % 5
          << "]}\n";
  }
  trace.close();
  const std::string arguments = "cachesim --trace " + path("trace.jsonl") + " --capacity 50%,6 ";
  const Ran table = run(arguments + "--plot " + path("rates.png"));
  EXPECT_EQ(table.status, 0) << table.err;
  for (const char* name : {"lru", "fifo", "lfu", "adaptive", "optimal", "50%"}) {
    EXPECT_THAT(table.out, HasSubstr(name));
  }
  EXPECT_GT(std::filesystem::file_size(path("rates.png")), 1000U);
  const Ran json = run(arguments + "--policy lru --json");
  EXPECT_EQ(json.status, 0) << json.err;
  const auto rows = nlohmann::json::parse(json.out);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0]["policy"], "lru");
  EXPECT_EQ(rows[0]["capacity"], "50%");
  EXPECT_EQ(rows[0]["hit_rate"], 0.4875);
  EXPECT_EQ(rows[3]["policy"], "optimal");
  EXPECT_EQ(rows[3]["capacity"], "6");
  EXPECT_EQ(rows[3]["hit_rate"], 0.925);
  const Ran unwritable = run(arguments + "--plot " + path("none/rates.png"));
  EXPECT_EQ(unwritable.status, 1);
  EXPECT_THAT(unwritable.err, HasSubstr("cannot write"));
}

TEST_F(Cli, SaysItsVersion) {
  const Ran ran = run("--version");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.out, testing::MatchesRegex("headwater [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(Cli, FilesThatAreMissingAreFailuresInOneSentence) {
  for (const char* arguments :
       {"serve nothing.yaml", "serve --model nothing", "run hi --model nothing", "chat --model nothing",
        "tokenize hi --model nothing", "eval perplexity --text README.md --model nothing",
        "eval perplexity --text nothing --model nothing", "eval mmlu --data nothing", "model info nothing",
        "topology check nothing", "topology graph nothing", "cachesim --trace nothing"}) {
    const Ran ran =
        run(std::string(arguments) + (std::string(arguments).starts_with("serve --") ? " --log-level off" : ""));
    EXPECT_EQ(ran.status, 1) << arguments;
    EXPECT_THAT(ran.err, AllOf(StartsWith("headwater: "), HasSubstr("nothing"))) << arguments;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_THAT(ran.out, IsEmpty()) << arguments;
  }
}

TEST_F(Cli, ModelInfoSaysWhatAFileTakesAndWhyOneIsNotServed) {
  const Ran sound = run("model info --sequences 2 --context 100 " + tiny_model());
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_THAT(sound.out, AllOf(StartsWith("file "), HasSubstr("\nKV cache        of 2 sequences of 100 tokens\n"),
                               HasSubstr("\n  attn_qkv      ")));
  GgufWriter().add_string("general.architecture", "future").write(path("future.gguf"));
  const Ran unknown = run("model info " + path("future.gguf"));
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.out, HasSubstr("architecture    future"));
  EXPECT_THAT(unknown.err, AllOf(StartsWith("headwater: "), HasSubstr("unknown architecture \"future\"")));
}

TEST_F(Cli, AModelInPartsIsServedByAnyOfThem) {
  const auto parts = tiny_llama_parts({}, 3);
  std::filesystem::create_directories(path("parts"));
  const std::string first = write_parts(path("parts"), "m", parts);
  const std::string whole = run("run hi --temperature 0 --max-tokens 8 --json --model " + tiny_model()).out;
  const std::string text = nlohmann::json::parse(whole).at("text");
  for (const char* part : {"parts/m-00001-of-00003.gguf", "parts/m-00003-of-00003.gguf"}) {
    const Ran ran = run("run hi --temperature 0 --max-tokens 8 --json --model " + path(part));
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(nlohmann::json::parse(ran.out).at("text"), text);
  }
  EXPECT_THAT(run("model info " + first).out, HasSubstr("\n  part 2        " + path("parts/m-00002-of-00003.gguf")));
  std::filesystem::remove(path("parts/m-00002-of-00003.gguf"));
  const Ran missing = run("run hi --model " + first);
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, AllOf(StartsWith("headwater: " + path("parts/m-00002-of-00003.gguf") + ": cannot be opened"),
                                 HasSubstr("expected part 2 of 3")));
}

/// Writes a model of 6 TiB, whose weights are a hole. False: the file system holds no such file.
bool write_huge_llama(const std::string& path) {
  constexpr std::uint64_t kDim = 1U << 20U;
  constexpr std::uint64_t kHidden = 1U << 19U;
  constexpr std::uint64_t kHeads = 256;
  GgufWriter writer;
  writer.add_string("general.architecture", "llama")
      .add_u32("llama.block_count", 1)
      .add_u32("llama.context_length", 512)
      .add_u32("llama.embedding_length", kDim)
      .add_u32("llama.feed_forward_length", kHidden)
      .add_u32("llama.attention.head_count", 4)
      .add_u32("llama.attention.key_length", kHeads / 4)
      .add_u32("llama.attention.value_length", kHeads / 4);
  add_tiny_tokenizer(writer);
  const std::vector<std::pair<std::string, std::vector<std::uint64_t>>> tensors = {
      {"token_embd.weight", {kDim, tiny_tokens().size()}},
      {"output_norm.weight", {kDim}},
      {"blk.0.attn_norm.weight", {kDim}},
      {"blk.0.ffn_norm.weight", {kDim}},
      {"blk.0.attn_q.weight", {kDim, kHeads}},
      {"blk.0.attn_k.weight", {kDim, kHeads}},
      {"blk.0.attn_v.weight", {kDim, kHeads}},
      {"blk.0.attn_output.weight", {kHeads, kDim}},
      {"blk.0.ffn_gate.weight", {kDim, kHidden}},
      {"blk.0.ffn_up.weight", {kDim, kHidden}},
      {"blk.0.ffn_down.weight", {kHidden, kDim}}};
  for (const auto& [name, dims] : tensors) writer.add_hole(name, dims, kernels::DType::f32);
  std::string bytes = writer.bytes();
  std::uint64_t offset = 0;  // which the writer has as 0 for each
  for (const auto& [name, dims] : tensors) {
    const std::size_t behind_type = bytes.find(name) + name.size() + 4 + 8 * dims.size() + 4;
    std::memcpy(&bytes[behind_type], &offset, sizeof offset);
    offset += sizeof(float) * dims[0] * (dims.size() > 1 ? dims[1] : 1);
  }
  std::ofstream(path) << bytes;
  std::error_code failed;
  std::filesystem::resize_file(path, bytes.size() + offset, failed);
  return !failed;
}

TEST_F(Cli, WeightsThatDoNotFitAreRefusedBeforeTheyAreRead) {
  const std::string model = path("huge.gguf");
  if (!write_huge_llama(model)) GTEST_SKIP() << "this file system holds no file of 6 TiB";
  for (const char* command : {"run hi", "serve --log-level off", "bench", "eval kl"}) {
    const Ran ran = run(std::string(command) + " --model " + model);
    EXPECT_EQ(ran.status, 1) << command;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("huge.gguf: the weights take "), HasSubstr(" TiB of memory, and "),
                               HasSubstr(" leaves "), HasSubstr("; take ")))
        << command;
  }
}

TEST_F(Cli, ModelsAreListedAndFoundByName) {
  std::filesystem::create_directories(path("models"));
  write_tiny_llama(path("models/tiny.gguf"), {});
  const std::string there = "cd " + path("") + " &&";
  const Ran list = run("model list", "", there);
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_THAT(list.out, AllOf(StartsWith("name "), HasSubstr("\nqwen2.5-coder-0.5b "), HasSubstr("Apache-2.0"),
                              HasSubstr("not fetched"), HasSubstr("models/tiny.gguf")));
  EXPECT_EQ(run("tokenize hi --model tiny", "", there).status, 0);
  EXPECT_EQ(run("model info tiny", "", there).status, 0);
  const Ran unknown = run("model pull nonsense", "", there);
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("no model named nonsense (known: smollm2-135m, qwen2.5-coder-0.5b"));
}

TEST_F(Cli, DirectoriesAreNoTopologies) { EXPECT_EQ(run("topology check topologies").status, 1); }

TEST_F(Cli, TopologyCheckReportsEveryFileAndFailsIfOneDoes) {
  const Ran sound = run("topology check --no-model topologies/*.yaml");
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_THAT(sound.out, HasSubstr("topologies/single.yaml: ok, 6 stages\n"));
  const std::string bad = write("bad.yaml", "model: { path: m }\nstages: [{ id: a, kind: schedular, to: [b] }]\n");
  const Ran both = run("topology check --no-model " + bad + " topologies/single.yaml");
  EXPECT_EQ(both.status, 1);
  const std::string cold = write("cold.yaml", "model: { path: m }\ncache: { warmup: [{ file: nowhere.txt }] }\n");
  EXPECT_THAT(run("topology check " + cold).err,
              HasSubstr("cold.yaml:2:27: file of warmup[0]: \"nowhere.txt\" is not there"));
  EXPECT_THAT(both.out, HasSubstr("single.yaml: ok"));
  EXPECT_THAT(both.err, AllOf(HasSubstr("bad.yaml:2:25: unknown stage kind \"schedular\" (did you mean \"scheduler\"?"),
                              HasSubstr("bad.yaml:2:41: unknown stage \"b\"")));
}

TEST_F(Cli, TopologyGraphPrintsBothFormats) {
  EXPECT_THAT(run("topology graph topologies/single.yaml").out, StartsWith("digraph \"single\" {"));
  EXPECT_THAT(run("topology graph topologies/single.yaml --format mermaid").out, StartsWith("flowchart LR\n"));
}

TEST_F(Cli, ServeNamesTheFlagThatIsWrong) {
  const Ran ran = run("serve --quant-policy 5 --listen nowhere --cache-size-limit 2 --session-len 99999999");
  EXPECT_EQ(ran.status, 2);
  for (const char* flag : {"--quant-policy", "--listen", "--cache-size-limit", "--session-len"}) {
    EXPECT_THAT(ran.err, HasSubstr(std::string("command line: ") + flag + ": ")) << flag;
  }
}

TEST_F(Cli, BenchMeasuresEveryFormatThatIsNamedAndRefusesOthers) {
  const Ran ran =
      run("bench --model " + tiny_model() + " --batch 2 --context 40 --repetitions 1 --quant-policy 0,8,4,k8v4 --json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  nlohmann::json policies;
  for (const auto& row : nlohmann::json::parse(ran.out)) {
    if (row.at("phase") == "decode") policies.push_back(row.at("quant_policy"));
  }
  EXPECT_EQ(policies, (nlohmann::json{0, 8, 4, "k8v4"}));
  const Ran wrong = run("bench --model " + tiny_model() + " --quant-policy 0,6");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("--quant-policy 6 is none; supported are 0 (keys and values in 16 bits), 8, 4"));
}

TEST_F(Cli, ServeNeedsAGateway) {
  std::string yaml = slurp("topologies/single.yaml");
  yaml.resize(yaml.find("gateway:"));
  const Ran ran = run("serve " + write("no_gateway.yaml", yaml));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("has no gateway section"));
}

TEST_F(Cli, TokenizeGivesIdsAndPiecesThatJoinToTheText) {
  const Ran ran = run("tokenize --json --no-special -m " + tiny_model() + " -", "the <|im_end|> in");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  std::string joined;
  for (const auto& piece : json.at("pieces")) joined += piece.get<std::string>();
  EXPECT_EQ(joined, "the <|im_end|> in");
  EXPECT_EQ(json.at("ids").size(), json.at("pieces").size());
  const Ran special = run("tokenize -m " + tiny_model() + " '<|im_end|>'");
  EXPECT_THAT(special.out, HasSubstr("\"<|im_end|>\"\n"));
}

TEST_F(Cli, ModelInfoDescribesTheFile) {
  const Ran ran = run("model info " + tiny_model());
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("llama"));
}

TEST_F(Cli, RunGivesTheSameAnswerForTheSameSeed) {
  if (real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
  const std::string arguments = "run 'Why is the sky blue?' --max-tokens 5 --seed 7 --model " + real_model();
  const Ran text = run(arguments);
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.err, IsEmpty());
  const Ran json = run(arguments + " --json");
  ASSERT_EQ(json.status, 0) << json.err;
  const auto object = nlohmann::json::parse(json.out);
  EXPECT_EQ(object.at("text").get<std::string>() + "\n", text.out);
  EXPECT_EQ(object.at("finish_reason"), "length");
  EXPECT_EQ(object.at("usage").at("completion_tokens"), 5);
}

TEST_F(Cli, ChatRemembersUntilItIsReset) {
  if (real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
  const std::string arguments = "chat --temperature 0 --max-tokens 12 --model " + real_model();
  const Ran fresh = run(arguments, "What is two plus two?\n");
  const Ran again = run(arguments, "Tell me of the sea.\n/reset\nWhat is two plus two?\n/exit\nnever asked\n");
  ASSERT_EQ(fresh.status, 0) << fresh.err;
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(again.out.ends_with(fresh.out)) << again.out << "\nagainst\n" << fresh.out;
  EXPECT_GT(again.out.size(), fresh.out.size());
}

TEST_F(Cli, ServeSaysWhenItIsReadyAndEndsCleanlyOnSigterm) {
  if (real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
  const std::string command = std::string("exec ") + HEADWATER_BINARY +
                              " serve --listen 127.0.0.1:0 --log-level off --cache-size-limit 64MiB --model " +
                              real_model();
  int out[2];
  ASSERT_EQ(pipe(out), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  close(out[1]);
  std::string said;
  char buffer[512];
  for (ssize_t got = 1; got > 0 && said.find("\ncurl ") == std::string::npos;) {
    got = read(out[0], buffer, sizeof buffer);
    if (got > 0) said.append(buffer, static_cast<std::size_t>(got));
  }
  EXPECT_THAT(said, HasSubstr(" is ready at http://127.0.0.1:"));
  EXPECT_THAT(said, HasSubstr("\ncurl http://127.0.0.1:"));
  kill(child, SIGTERM);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  close(out[0]);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace headwater::test
