// What a request does not say about the choice of tokens is as the model wants it, in every dialect.

#include <gtest/gtest.h>

#include "gateway/native_dialect.h"
#include "gateway/openai_chat.h"
#include "gateway/openai_completions.h"

namespace headwater::gateway {
namespace {

ModelInfo cool_model() {
  ModelInfo model;
  model.name = "cool";
  model.chat_template = "chatml";
  model.vocab_size = 100;
  model.context_length = 100;
  model.sampling.temperature = 0.25F;
  model.sampling.top_k = 20;
  model.sampling.top_p = 0.9F;
  model.sampling.min_p = 0.05F;
  return model;
}

/// Of a call in each dialect with these fields.
std::vector<SamplingParams> params_of(const char* text) {
  const ModelInfo model = cool_model();
  const Json fields = Json::parse(text);
  Json chat = fields, completion = fields;
  chat["messages"] = {{{"role", "user"}, {"content", "x"}}};
  completion["prompt"] = "x";
  const Json frame{{"type", "generate"}, {"id", "a"}, {"prompt", "x"}, {"params", fields}};
  const auto asked = parse_chat(chat, model), completed = parse_completion(completion, model);
  const ClientFrame read = parse_frame(frame.dump(), model);
  if (!asked || !completed || !std::holds_alternative<GenerateFrame>(read)) {
    ADD_FAILURE() << fields << (asked ? "" : asked.error().message) << (completed ? "" : completed.error().message);
    return {};
  }
  return {asked->base.params, completed->base.params, std::get<GenerateFrame>(read).request.params};
}

TEST(DefaultSampling, IsTheModels) {
  for (const SamplingParams& params : params_of("{}")) {
    EXPECT_EQ(params.temperature, 0.25F);
    EXPECT_EQ(params.top_k, 20U);
    EXPECT_EQ(params.top_p, 0.9F);
    EXPECT_EQ(params.min_p, 0.05F);
  }
}

TEST(DefaultSampling, GivesWayToWhatARequestNames) {
  for (const SamplingParams& params : params_of(R"({"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0})")) {
    EXPECT_EQ(params.temperature, 1);
    EXPECT_EQ(params.top_k, 0U);
    EXPECT_EQ(params.top_p, 1);
    EXPECT_EQ(params.min_p, 0);
  }
  for (const SamplingParams& params : params_of(R"({"temperature": 0, "top_k": -1, "top_p": null})")) {
    EXPECT_EQ(params.temperature, 0);
    EXPECT_EQ(params.top_k, 0U) << "all";
    EXPECT_EQ(params.top_p, 0.9F) << "null names none";
  }
}

}  // namespace
}  // namespace headwater::gateway
