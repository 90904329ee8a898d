// What `headwater` says to those who mistype, and what it refuses before it starts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "tests/integration/cli_fixture.h"
#include "tests/support/limited_child.h"

namespace headwater::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

/// A model that names a pre-tokenizer that nobody knows.
std::string martian_model() {
  std::string bytes = tiny_llama({}).bytes();
  constexpr std::string_view kOwn = "smollm";
  return bytes.replace(bytes.find(kOwn), kOwn.size(), "martia");
}

/// The topology of one machine, with another model.
std::string with_model(const std::string& model) {
  std::string text = slurp("topologies/single.yaml");
  constexpr std::string_view kOwn = "{ path: models/default.gguf }";
  return text.replace(text.find(kOwn), kOwn.size(), model);
}

TEST_F(Cli, NamesTheCommandOrFlagThatWasMeant) {
  const std::pair<const char*, const char*> slips[] = {
      {"srve", "unknown command \"srve\" (did you mean \"serve\"?)"},
      {"topology chek x", "unknown command \"chek\" (did you mean \"check\"?)"},
      {"serve --modle x", "unknown flag \"--modle\" (did you mean \"--model\"?)"},
      {"serve --model x --cache-size=1GiB", "unknown flag \"--cache-size\" (did you mean \"--cache-size-limit\"?)"},
      {"run hi --temprature 0", "unknown flag \"--temprature\" (did you mean \"--temperature\"?)"},
      {"zzzzzzzzzz", "unknown command \"zzzzzzzzzz\"\n"}};
  for (const auto& [arguments, expected] : slips) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.status, 2) << arguments;
    EXPECT_THAT(ran.err, HasSubstr(expected)) << arguments;
  }
  EXPECT_THAT(run("serve --threads many").err, Not(HasSubstr("unknown")));
}

TEST_F(Cli, ValuesOfFlagsThatMakeNoSenseAreWrongUsage) {
  for (const char* arguments :
       {"serve --listen 23001", "serve --max-batch-size 0", "serve --quant-policy 2", "serve --cache-ttl 5000h",
        "serve --cache-size-limit 99999999999GiB", "run hi --quant-policy 2 --model x", "bench --quant-policy 0,6"}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.status, 2) << arguments << "\n" << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("--")) << arguments;
    EXPECT_THAT(ran.out, IsEmpty()) << arguments;
  }
  const std::string bad = write("bad.yaml", "model: { path: m }\nstages: 3\n");
  EXPECT_EQ(run("serve " + bad + " --listen 23001").status, 1) << "the file's mistakes are failures";
}

TEST_F(Cli, ATraceThatCannotBeWrittenIsFoundAtTheStart) {
  const Ran ran = run("run hi --model nothing --trace " + path("none/t.json"));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("--trace: cannot write"), HasSubstr("No such file"), Not(HasSubstr("nothing"))));
}

TEST_F(Cli, TopologyCheckLooksAtTheModelAndTheTemplateToo) {
  const auto yaml = [&](const std::string& model) { return write("checked.yaml", with_model(model)); };
  const Ran missing = run("topology check " + yaml("{ path: nowhere.gguf }"));
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("checked.yaml: model: nowhere.gguf: cannot be opened"));
  EXPECT_EQ(run("topology check --no-model " + path("checked.yaml")).status, 0);
  EXPECT_EQ(run("topology check " + yaml("{ path: " + tiny_model() + " }")).status, 0);
  const Ran broken = run("topology check " + yaml("{ path: " + write("broken.gguf", "GGUF and no more") + " }"));
  EXPECT_EQ(broken.status, 1);
  EXPECT_THAT(broken.err, HasSubstr("broken.gguf: offset"));
  const Ran unknown = run("topology check " + yaml("{ path: " + tiny_model() + ", chat_template: chatlm }"));
  EXPECT_EQ(unknown.status, 1);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("checked.yaml:"), HasSubstr("unknown chat template \"chatlm\"")));
}

TEST_F(Cli, TopologyCheckRefusesAModelForWhatServingWouldAndInItsWords) {
  GgufWriter biased = tiny_llama({});
  biased.add_tensor("output.bias", {1}, kernels::DType::f32, std::vector<float>(1));
  GgufWriter experts = tiny_llama({});
  experts.add_u32("llama.expert_count", 8);
  for (const std::string& bytes : {biased.bytes(), experts.bytes(), martian_model()}) {
    const std::string odd = write("odd.gguf", bytes);
    const Ran served = run("serve --log-level off --listen 127.0.0.1:0 --model " + odd);
    EXPECT_EQ(served.status, 1);
    ASSERT_THAT(served.err, StartsWith("headwater: " + odd + ": "));
    const Ran checked = run("topology check " + write("odd.yaml", with_model("{ path: " + odd + " }")));
    EXPECT_EQ(checked.status, 1);
    EXPECT_EQ(checked.err, "headwater: " + path("odd.yaml") + ": model: " + served.err.substr(11));
  }
  const std::string narrow = write("narrow.gguf", tiny_llama({.head_dim = 12}).bytes());
  std::string eight = with_model("{ path: " + narrow + " }");
  eight.replace(eight.find("quant_policy: 0"), 15, "quant_policy: 8");
  EXPECT_THAT(run("topology check " + write("eight.yaml", eight)).err,
              HasSubstr("narrow.gguf: a quantised KV cache needs heads of a multiple of 8"));
  const std::string told = with_model("{ pre_tokenizer: qwen2, path: " + path("odd.gguf") + " }");
  EXPECT_EQ(run("topology check " + write("odd.yaml", told)).status, 0) << "which is what would be served";
}

TEST_F(Cli, EveryCommandThatReadsATokenizerTakesAPreTokenizer) {
  const std::string odd = write("odd.gguf", martian_model());
  for (const std::string command :
       {"run hi --max-tokens 1", "tokenize hi", "model info", "eval kl --limit 1 --window 8"}) {
    std::string arguments = command;
    arguments.append(command == "model info" ? " " : " --model ").append(odd).append(" --pre-tokenizer ");
    EXPECT_EQ(run(arguments.substr(0, arguments.find(" --pre-tokenizer"))).status, 1) << command;
    EXPECT_EQ(run(arguments + "qwen2").status, 0) << command;
    const Ran unknown = run(arguments + "venusian");
    EXPECT_EQ(unknown.status, 2) << command;
    EXPECT_THAT(unknown.err, HasSubstr("--pre-tokenizer: unknown pre-tokenizer \"venusian\", expected one of"));
  }
}

TEST_F(Cli, SaysWhatThereIsInPlaceOfAModelThatIsNot) {
  std::filesystem::create_directories(path("models"));
  write_tiny_llama(path("models/tiny.gguf"), {});
  const std::string there = "cd " + path("") + " &&";
  for (const char* command : {"run hi --model", "serve --log-level off --model", "tokenize hi --model", "bench --model",
                              "eval kl --model", "model info"}) {
    const auto said = [&](const char* name) { return run(std::string(command) + " " + name, "", there).err; };
    EXPECT_THAT(said("tinny"), HasSubstr("tinny: cannot be opened: No such file or directory (did you mean "
                                         "\"models/tiny.gguf\"?); headwater model list says what can be fetched, "
                                         "headwater model pull NAME fetches it"))
        << command;
    EXPECT_THAT(said("models/smollm2-135m.gguf"), HasSubstr("; headwater model pull smollm2-135m fetches it"));
    EXPECT_THAT(said("models"), HasSubstr("models: is a folder, expected a GGUF file; name a file in it: tiny.gguf"));
  }
  EXPECT_THAT(run("run hi --model qwen2.5-coder-0.6b", "", there).err,
              HasSubstr("(did you mean the model \"qwen2.5-coder-0.5b\"?)"));
}

TEST_F(Cli, FindsTheTopologiesThatShipByName) {
  EXPECT_EQ(run("topology check --no-model single high_concurrency.yaml").status, 0);
  const Ran ran = run("topology check --no-model no_such_topology");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("no such file"), HasSubstr("topologies")));
}

TEST_F(Cli, RefusesACacheThatDoesNotFitIntoMemoryAndSaysWhatWould) {
  const Ran ran = run("serve --log-level off --cache-size-limit 900TiB --listen 127.0.0.1:0 --model " + tiny_model());
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("of memory (weights"), HasSubstr(" leaves "), HasSubstr("would fit")));
}

TEST_F(Cli, AnswersOrSaysWhyNotWhateverAddressesThereAre) {
  if (!kAddressesCanBeLimited) GTEST_SKIP() << "not in this build";
  const std::string arguments = "run hi --raw --max-tokens 1 --temperature 0 --model " + tiny_model();
  bool refused = false;
  bool answered = false;
  for (int mib = 80; mib <= 4000 && !answered; mib += mib < 400 ? 10 : 100) {
    const Ran ran = run(arguments, "", "ulimit -v " + std::to_string(mib * 1024) + "; timeout -s KILL 100");
    if (ran.err.find("error while loading shared libraries") != std::string::npos) continue;
    EXPECT_TRUE(ran.status == 0 || ran.status == 1) << mib << " MiB: status " << ran.status << "\n" << ran.err;
    if (ran.status == 1) {
      EXPECT_THAT(ran.err, testing::StartsWith("headwater: ")) << mib;
      refused = true;
    }
    answered = ran.status == 0;
  }
  EXPECT_TRUE(refused);
  EXPECT_TRUE(answered);
}

TEST_F(Cli, ServeWantsKeysInItsKeyFiles) {
  EXPECT_THAT(run("serve --api-key-file " + path("none")).err,
              AllOf(HasSubstr("--api-key-file: "), HasSubstr("cannot open")));
  const Ran empty = run("serve --api-key-file " + write("keys", "# none yet\n\n"));
  EXPECT_EQ(empty.status, 1);
  EXPECT_THAT(empty.err, HasSubstr("holds no key"));
}

TEST_F(Cli, OptionsInTheDocumentsAreThoseOfTheCommand) {
  const Ran ran = run("topology options");
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(ran.out == slurp("docs/OPTIONS.md"))
      << "docs/OPTIONS.md is not what `headwater topology options` prints; run tools/options";
}

}  // namespace
}  // namespace headwater::test
