// What `headwater` says to those who mistype, and what it refuses before it starts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/integration/cli_fixture.h"
#include "tests/support/limited_child.h"

namespace headwater::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

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
  const auto yaml = [&](const std::string& model) {
    std::string text = slurp("topologies/single.yaml");
    const std::string own = "{ path: models/default.gguf }";
    return write("checked.yaml", text.replace(text.find(own), own.size(), model));
  };
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
