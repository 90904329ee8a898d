// HEADWATER_CPU, as a person sets it, and what the command says of its kernels.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/integration/cli_fixture.h"

namespace headwater::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST_F(Cli, AProcessorThatIsNotToBeHadIsWrongUsageWhateverTheCommand) {
  const std::string model = tiny_model();
  for (const std::string& command : {"serve --model " + model, "model info " + model, "bench --model " + model}) {
    const Ran ran = run(command, "", "HEADWATER_CPU=sse9");
    EXPECT_EQ(ran.status, 2) << command;
    EXPECT_THAT(ran.err, StartsWith("headwater: HEADWATER_CPU: \"sse9\" is no kind of processor (plain, avx2, "));
    EXPECT_THAT(ran.err, HasSubstr("; this machine runs plain"));
    EXPECT_THAT(ran.out, IsEmpty()) << command;
  }
  EXPECT_EQ(run("model info " + model, "", "HEADWATER_CPU=plain").status, 0);
  EXPECT_EQ(run("--help", "", "HEADWATER_CPU=sse9").status, 0);
}

TEST_F(Cli, ModelInfoSaysWhichKernelsComputeAndFollowsTheForcedProcessor) {
  const Ran own = run("model info --kernels");
  EXPECT_EQ(own.status, 0) << own.err;
  EXPECT_THAT(own.out, StartsWith("kernels for "));
  EXPECT_THAT(own.out, HasSubstr("\n  attention "));
  EXPECT_THAT(own.out, ContainsRegex("\ncomputing with [0-9]+ threads? \\(of [0-9]+ CPUs?[;)]"));
  const Ran plain = run("model info --kernels", "", "HEADWATER_CPU=plain");
  EXPECT_THAT(plain.out, StartsWith("kernels for plain (HEADWATER_CPU; the machine is "));
  EXPECT_THAT(plain.out, HasSubstr("  plain C++\n"));
  EXPECT_THAT(plain.out, Not(HasSubstr("AVX")));
  const Ran both = run("model info --kernels " + tiny_model());
  EXPECT_THAT(both.out, AllOf(StartsWith("kernels for "), HasSubstr("\narchitecture ")));
}

TEST_F(Cli, ModelInfoSaysTheSameToPrograms) {
  const auto json = nlohmann::json::parse(run("model info --kernels --json", "", "HEADWATER_CPU=plain").out);
  EXPECT_EQ(json.at("processor"), "plain");
  EXPECT_EQ(json.at("forced"), true);
  EXPECT_GE(json.at("threads"), 1);
  EXPECT_EQ(json.at("kernels").at(0).at("kernel"), "plain C++");
  EXPECT_EQ(run("model info --json " + tiny_model()).status, 2) << "--json is of --kernels";
}

}  // namespace
}  // namespace headwater::test
