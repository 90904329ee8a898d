#include "gateway/foreign_fields.h"

#include <gtest/gtest.h>

#include "gateway/native_dialect.h"
#include "gateway/openai_chat.h"
#include "gateway/openai_completions.h"

namespace headwater::gateway {
namespace {

ModelInfo model() {
  ModelInfo info;
  info.name = "smol";
  info.context_length = 100;
  return info;
}

/// What each dialect makes of some fields: the parameters, or the code and place of what is wrong.
struct Read {
  std::string error;
  SamplingParams params;
  std::size_t ignored = 0;
};

std::vector<Read> read(const char* fields) {
  std::vector<Read> all;
  const auto add = [&](const auto& result, const IgnoredFields& ignored) {
    if (!result) return all.push_back({std::string(name_of(result.error().code)) + " " + result.error().param, {}, 0});
    all.push_back({"", result->base.params, ignored.fields.size()});
  };
  IgnoredFields chat_ignored, completion_ignored, native_ignored;
  Json chat = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
  chat.update(Json::parse(fields));
  add(parse_chat(chat, model(), &chat_ignored), chat_ignored);
  Json completion = {{"prompt", "hi"}};
  completion.update(Json::parse(fields));
  add(parse_completion(completion, model(), &completion_ignored), completion_ignored);
  const Json frame = {{"type", "generate"}, {"id", "a"}, {"prompt", "hi"}, {"params", Json::parse(fields)}};
  const ClientFrame got = parse_frame(frame.dump(), model(), &native_ignored);
  if (const auto* bad = std::get_if<BadFrame>(&got)) {
    const std::string param = bad->error.param;
    all.push_back({std::string(name_of(bad->error.code)) + " " + param.substr(param.find('.') + 1), {}, 0});
  } else {
    all.push_back({"", std::get<GenerateFrame>(got).request.params, native_ignored.fields.size()});
  }
  return all;
}

TEST(ForeignFields, AreServedUnderTheNamesOfOtherServers) {
  for (const Read& got : read(R"({"repeat_penalty": 1.2, "n_predict": 7, "min_new_tokens": 2, "random_seed": 5,
                                  "stop_sequences": ["x"], "stop_token_ids": [3], "top_k": -1, "repeat_last_n": -1})")) {
    EXPECT_EQ(got.error, "");
    EXPECT_EQ(got.params.repetition_penalty, 1.2F);
    EXPECT_EQ(got.params.max_tokens, 7U);
    EXPECT_EQ(got.params.min_tokens, 2U);
    EXPECT_EQ(got.params.seed, 5U);
    EXPECT_EQ(got.params.stop, std::vector<std::string>{"x"});
    EXPECT_EQ(got.ignored, 0U);
  }
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict", "num_predict"}) {
    for (const Read& got : read(Json{{name, 9}}.dump().c_str())) EXPECT_EQ(got.params.max_tokens, 9U) << name;
  }
  for (const Read& got : read(R"({"n_predict": -1, "seed": -1})")) {
    EXPECT_EQ(got.error, "");
    EXPECT_FALSE(got.params.max_tokens.has_value());
    EXPECT_FALSE(got.params.seed.has_value());
  }
}

TEST(ForeignFields, AreIgnoredWhereTheyAreMerelyUnknown) {
  for (const Read& got : read(R"({"chat_id": "c", "use_mmap": true})")) {
    EXPECT_EQ(got.error, "");
    EXPECT_EQ(got.ignored, 2U);
  }
}

TEST(ForeignFields, HaveNoEffectWhereTheyAreSwitchedOff) {
  for (const Read& got : read(R"({"mirostat": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "tfs_z": 1, "typical_p": 1.0,
      "xtc_probability": 0, "dry_multiplier": 0.0, "skip_special_tokens": true, "use_beam_search": false,
      "guided_json": null, "grammar": "", "logits_processors": [], "repeat_last_n": 64, "num_ctx": 4096,
      "cache_prompt": true, "priority": 3, "top_n_sigma": -1, "chat_template_kwargs": {}})")) {
    EXPECT_EQ(got.error, "");
    EXPECT_EQ(got.ignored, 0U);
  }
}

TEST(ForeignFields, AreRefusedByNameWhereTheyWouldChangeTheAnswer) {
  for (const char* fields : {R"({"functions": [{"name": "f"}]})",
                             R"({"response_format": {"type": "json_object"}})",
                             R"({"guided_json": {"type": "object"}})",
                             R"({"guided_choice": ["a", "b"]})",
                             R"({"grammar": "root ::= x"})",
                             R"({"json_schema": {"type": "object"}})",
                             R"({"structured_outputs": {"regex": "x"}})",
                             R"({"mirostat": 2})",
                             R"({"logits_processors": ["x"]})",
                             R"({"typical_p": 0.9})",
                             R"({"bad_words": ["x"]})",
                             R"({"use_beam_search": true})",
                             R"({"include_stop_str_in_output": true})",
                             R"({"truncate_prompt_tokens": 5})",
                             R"({"skip_special_tokens": false})",
                             R"({"chat_template": "{{ x }}"})",
                             R"({"enable_thinking": true})",
                             R"({"options": {"temperature": 0}})",
                             R"({"extra_body": {"top_k": 1}})",
                             R"({"n_probs": 3})",
                             R"({"repeat_penalty": 1.1, "repeat_last_n": 64})"}) {
    const Json json = Json::parse(fields);
    for (const Read& got : read(fields)) {
      EXPECT_EQ(got.error, "unsupported_parameter " + (json.size() > 1 ? "repeat_last_n" : json.begin().key()))
          << fields;
    }
  }
}

}  // namespace
}  // namespace headwater::gateway
