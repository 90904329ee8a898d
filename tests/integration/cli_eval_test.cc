// `headwater eval`: its tables, its errors, and the real model.

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/integration/cli_fixture.h"
#include "tests/support/model_file.h"

namespace headwater::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(Cli, EvalPerplexityPrintsATableAndWritesJson) {
  const std::string text = write("text.txt", std::string(300, 'x') + " the end");
  const std::string arguments = "eval perplexity --window 64 --stride 32 --model " + tiny_model() + " --text " + text;
  const Ran table = run(arguments + " --json " + path("out.json"));
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.err, IsEmpty());
  EXPECT_THAT(table.out, AllOf(StartsWith("policy  text"), HasSubstr("\n0       text.txt")));
  const auto rows = nlohmann::json::parse(slurp(path("out.json")));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].at("quant_policy"), "0");
  EXPECT_GT(rows[0].at("perplexity"), 1);
  EXPECT_EQ(rows[0].at("ratio_to_first_policy"), 1);
  EXPECT_TRUE(rows[0].at("ratio_to_float32").is_null());
  const Ran json = run(arguments + " --json --limit 1");
  ASSERT_EQ(json.status, 0) << json.err;
  EXPECT_EQ(nlohmann::json::parse(json.out)[0].at("tokens"), 63);
}

TEST_F(Cli, EvalPerplexityHoldsRecordsAgainstTheirReference) {
  const std::string records = write("r.jsonl",
                                    "{\"prompt\": \"abcdef\", \"mean_nll\": 5.5}\n"
                                    "{\"prompt\": \"in the end\", \"top10_ids\": [1], \"top10_logprobs\": [-5]}\n");
  const Ran ran = run("eval perplexity --json --model " + tiny_model() + " --text " + records);
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto rows = nlohmann::json::parse(ran.out);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].at("text"), "2 records");
  EXPECT_EQ(rows[0].at("ratio_to_float32"), rows[1].at("ratio_to_float32"));
  EXPECT_EQ(rows[0].at("top_logprob_difference"), rows[2].at("top_logprob_difference"));
  EXPECT_TRUE(rows[1].at("top_logprob_difference").is_null());
}

TEST_F(Cli, EvalComparesFilesAndPrecisionsWithTheFirst) {
  const std::string text = write("text.txt", std::string(200, 'x') + " the end");
  write_tiny_llama(path("other.gguf"), {.type = kernels::DType::q8_0});
  const Ran ran = run("eval perplexity --json --precision fast,exact --quant-policy 0,8 --model " + tiny_model() +
                      " --model " + path("other.gguf") + " --text " + text);
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto rows = nlohmann::json::parse(ran.out);
  ASSERT_EQ(rows.size(), 8U);
  EXPECT_EQ(rows[0].at("ratio_to_first_policy"), 1);
  EXPECT_EQ(rows[0].at("precision"), "fast");
  EXPECT_EQ(rows[7].at("model"), path("other.gguf"));
  EXPECT_EQ(rows[7].at("precision"), "exact");
  EXPECT_EQ(rows[7].at("quant_policy"), "8");
  EXPECT_DOUBLE_EQ(rows[7].at("ratio_to_first_policy").get<double>(),
                   rows[7].at("perplexity").get<double>() / rows[0].at("perplexity").get<double>());
  const Ran table =
      run("eval perplexity --model " + tiny_model() + " --model " + path("other.gguf") + " --text " + text);
  EXPECT_THAT(table.out, AllOf(HasSubstr("tiny.gguf, fast\n0 "), HasSubstr("other.gguf, fast\n0 ")));
}

TEST_F(Cli, EvalKlMeasuresHowFarFilesAreApart) {
  const std::string text = write("text.txt", std::string(300, 'x') + " the end");
  write_tiny_llama(path("other.gguf"), {.type = kernels::DType::q4_0});
  const std::string arguments = "eval kl --json --window 64 --text " + text + " --base " + tiny_model();
  const Ran ran = run(arguments + " --base-precision fast --model " + tiny_model() + " --model " + path("other.gguf"));
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto rows = nlohmann::json::parse(ran.out);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].at("mean_kl"), 0);  // of the same, bit for bit
  EXPECT_EQ(rows[0].at("same_top"), 1);
  EXPECT_GT(rows[1].at("mean_kl"), 1e-6);
  EXPECT_GE(rows[1].at("max_kl"), rows[1].at("p99_kl"));
  EXPECT_EQ(rows[1].at("base_model"), path("tiny.gguf"));
  EXPECT_EQ(rows[1].at("tokens"), rows[0].at("tokens"));
  const Ran table = run("eval kl --quant-policy 0,4 --model " + tiny_model());  // of the built-in text
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(StartsWith("policy     tokens"), HasSubstr("\n0 "), HasSubstr("\n4 ")));
  if (real_model().empty()) return;
  const Ran apart = run("eval kl --base " + tiny_model() + " --model " + real_model());
  EXPECT_EQ(apart.status, 1);
  EXPECT_THAT(apart.err, HasSubstr("has other tokens than"));
}

TEST_F(Cli, EvalKvPrintsWhatEachFormatCostsAndBrings) {
  const std::string arguments = "eval kv --model " + tiny_model();
  const Ran table = run(arguments + " --memory 3MiB --context 100 --rounds 1 --json " + path("out.json"));
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.err, IsEmpty());
  EXPECT_THAT(table.out, AllOf(StartsWith("log-prob.: from those with a cache of 16 bits, after 448 positions"),
                               HasSubstr("after 100 tokens"), HasSubstr("tokens in 3MiB"), HasSubstr("\n0 "),
                               HasSubstr("\n8 "), HasSubstr("\nk8v4 "), HasSubstr("\n4 ")));
  const auto rows = nlohmann::json::parse(slurp(path("out.json")));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_NEAR(rows[0].at("top_logprob_difference").get<double>(), 0, 1e-5);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rows[i].at("reference"), "16 bits");
    EXPECT_GT(rows[i].at("perplexity"), 1);
    EXPECT_GT(rows[i].at("decode").at("tokens_per_second").at("median"), 0);
    EXPECT_FALSE(rows[i].contains("mmlu"));
    if (i == 0) continue;
    EXPECT_GT(rows[i].at("top_logprob_difference"), 1e-4);
    EXPECT_LT(rows[i].at("bytes_per_token"), rows[i - 1].at("bytes_per_token"));
    EXPECT_GT(rows[i].at("tokens_in_memory"), rows[i - 1].at("tokens_in_memory"));
  }
  EXPECT_EQ(rows[0].at("tokens_in_memory"), (3 << 20) / rows[0].at("bytes_per_token").get<int>() / 32 * 32);
}

TEST_F(Cli, EvalKvHoldsFormatsAgainstFloat32AndAsksQuestions) {
  std::string shots;
  for (int i = 0; i < 7; ++i) shots += "q" + std::to_string(i) + ",w,x,y,z," + std::to_string(i % 4) + "\n";
  std::filesystem::create_directories(path("mmlu"));
  write("mmlu/sums.csv", shots);
  const std::string choices = write("c.jsonl", R"({"subject": "sums", "question": "q5", "answer": 1, "choice": 0})");
  const std::string reference = write("r.jsonl",
                                      "{\"ids\": [65, 66, 67, 68], \"positions\": [1, 3],"
                                      " \"top10_ids\": [[1, 2], [3, 4]],"
                                      " \"top10_logprobs\": [[-1, -2], [-3, -4]]}");
  const std::string arguments = "eval kv --no-speed --quant-policy 0,8 --model " + tiny_model();
  const Ran ran = run(arguments + " --reference " + reference + " --mmlu " + path("mmlu") + " --mmlu-reference " +
                      choices + " --json " + path("out.json"));
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(StartsWith("log-prob.: from float32's, after 2 positions of r.jsonl\n"),
                             HasSubstr("MMLU right"), testing::Not(HasSubstr("tok/s"))));
  const auto rows = nlohmann::json::parse(slurp(path("out.json")));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].at("reference"), "float32");
  EXPECT_EQ(rows[1].at("positions"), 2);
  EXPECT_EQ(rows[1].at("tokens"), 3);
  EXPECT_EQ(rows[1].at("mmlu").at("questions"), 1);
  EXPECT_FALSE(rows[1].at("mmlu").at("same_as_float32").is_null());
  EXPECT_FALSE(rows[1].contains("decode"));

  const auto refusal = [&](const std::string& more, int status) {
    const Ran refused = run("eval kv --model " + path("tiny.gguf") + " " + more);
    EXPECT_EQ(refused.status, status) << more;
    return refused.err;
  };
  EXPECT_THAT(refusal("--context 500", 1), HasSubstr("--context 500 and the 17 tokens that are decoded are beyond"));
  EXPECT_THAT(refusal("--reference " + write("bad.jsonl", "{\"ids\": [1, 2], \"positions\": [7]}"), 1),
              HasSubstr("bad.jsonl:1: \"positions[0]\" is not what was expected"));
  write_tiny_llama(path("narrow.gguf"), {.head_dim = 12});
  const Ran narrow = run("eval kv --no-speed --model " + path("narrow.gguf"));
  EXPECT_EQ(narrow.status, 0) << narrow.err;
  EXPECT_THAT(narrow.out, AllOf(HasSubstr("\n0 "), HasSubstr("\n8: cannot hold this model's heads\n")));
  EXPECT_THAT(refusal("--memory lots", 2), HasSubstr("--memory: "));
  EXPECT_THAT(refusal("--mmlu-reference " + choices, 2), HasSubstr("--mmlu"));
}

TEST_F(Cli, EvalMmluReadsFoldersAndPrompts) {
  const std::string model = tiny_model();
  std::string shots;
  for (int i = 0; i < 7; ++i) shots += "q" + std::to_string(i) + ",w,x,y,z," + std::to_string(i % 4) + "\n";
  std::filesystem::create_directories(path("flat"));
  std::filesystem::create_directories(path("split/dev"));
  std::filesystem::create_directories(path("split/test"));
  write("flat/sums.csv", shots);
  write("split/dev/sums_dev.csv", shots);
  write("split/test/sums_test.csv", "q5,w,x,y,z,B\nq6,w,x,y,z,C\n");
  const std::string reference = write("r.jsonl", R"({"subject": "sums", "question": "q5", "answer": 1, "choice": 0})");
  const Ran flat = run("eval mmlu --json --model " + model + " --data " + path("flat"));
  ASSERT_EQ(flat.status, 0) << flat.err;
  EXPECT_EQ(nlohmann::json::parse(flat.out)[0].at("questions"), 2);
  EXPECT_EQ(run("eval mmlu --json --model " + model + " --data " + path("split")).out, flat.out);
  const Ran held = run("eval mmlu --model " + model + " --data " + path("flat") + " --reference " + reference);
  ASSERT_EQ(held.status, 0) << held.err;
  EXPECT_THAT(held.out, AllOf(StartsWith("policy  questions"), HasSubstr("\n0               1 ")));
  const Ran whole = run("eval mmlu --json --limit 1 --model " + model + " --data " +
                        write("p.jsonl", "{\"prompt\": \"a\", \"answer\": 1}\n{\"prompt\": \"b\", \"answer\": 1}"));
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(nlohmann::json::parse(whole.out)[0].at("questions"), 1);
}

TEST_F(Cli, EvalNamesTheFileAndTheLineThatAreWrong) {
  const std::string model = tiny_model();
  const auto refusal = [&](const std::string& arguments) {
    const Ran ran = run(arguments + " --model " + model);
    EXPECT_EQ(ran.status, 1) << arguments;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  EXPECT_THAT(refusal("eval perplexity --text " + write("bad.jsonl", "{\"prompt\": \"ab\"}\n{\"prompt\"")),
              HasSubstr("bad.jsonl:2: this line is not JSON"));
  EXPECT_THAT(refusal("eval perplexity --text " + write("t.txt", "abc") + " --window 100000"),
              HasSubstr("--window 100000 is beyond the model's 512"));
  std::filesystem::create_directories(path("d"));
  EXPECT_THAT(refusal("eval mmlu --data " + path("d")), HasSubstr("/d: no files that end in .csv"));
  write("d/s.csv", "a,b,c,d,e,1\nx,y\n");
  EXPECT_THAT(refusal("eval mmlu --data " + path("d")), HasSubstr("/d/s.csv:2: expected question,A,B,C,D,answer"));
  EXPECT_THAT(refusal("eval mmlu --data README.md"), HasSubstr("README.md: expected a folder of CSV files"));
}

TEST_F(Cli, EvalFindsTheRealModelNearFloat32) {
  if (real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
  const std::string model = " --json --model " + real_model();
  const Ran likely = run("eval perplexity --text " + reference_dir() + "/smollm2/completions.jsonl" + model);
  ASSERT_EQ(likely.status, 0) << likely.err;
  const auto texts = nlohmann::json::parse(likely.out);
  ASSERT_EQ(texts.size(), 13U);
  EXPECT_EQ(texts[12].at("tokens"), 3343);
  EXPECT_NEAR(texts[12].at("ratio_to_float32").get<double>(), 1, 0.002);
  EXPECT_LE(texts[0].at("top_logprob_difference").get<double>(), 0.04);
  const Ran choices = run("eval mmlu --data " + reference_dir() + "/mmlu --reference " + reference_dir() +
                          "/smollm2/mmlu.jsonl" + model);
  ASSERT_EQ(choices.status, 0) << choices.err;
  const auto tally = nlohmann::json::parse(choices.out)[0];
  EXPECT_EQ(tally.at("questions"), 64);
  EXPECT_GE(tally.at("same_as_float32").get<double>(), 0.95);
  EXPECT_LE(tally.at("logprob_difference").get<double>(), 0.04);
}

}  // namespace
}  // namespace headwater::test
