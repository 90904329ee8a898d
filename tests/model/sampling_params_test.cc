#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "model/sampler.h"

namespace headwater::model {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(CheckParams, NamesTheFieldThatIsOutOfRange) {
  const auto field = [](auto change) {
    SamplingParams params;
    change(params);
    const auto checked = check_params(params, 100);
    return checked.ok() ? std::string("fine") : checked.error().param;
  };
  EXPECT_EQ(field([](auto&) {}), "fine");
  EXPECT_EQ(field([](auto& p) { p.temperature = kNan; }), "temperature");
  EXPECT_EQ(field([](auto& p) { p.temperature = -0.1F; }), "temperature");
  EXPECT_EQ(field([](auto& p) { p.top_p = 0; }), "top_p");
  EXPECT_EQ(field([](auto& p) { p.top_p = 1.01F; }), "top_p");
  EXPECT_EQ(field([](auto& p) { p.min_p = kNan; }), "min_p");
  EXPECT_EQ(field([](auto& p) { p.repetition_penalty = 0; }), "repetition_penalty");
  EXPECT_EQ(field([](auto& p) { p.presence_penalty = 3; }), "presence_penalty");
  EXPECT_EQ(field([](auto& p) { p.frequency_penalty = -3; }), "frequency_penalty");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 0; }), "max_tokens");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 1'000'000'000; }), "max_tokens");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 0, p.prompt_logprobs = 1; }), "fine");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 3, p.min_tokens = 4; }), "min_tokens");
  EXPECT_EQ(field([](auto& p) { p.logprobs = 21; }), "logprobs");
  EXPECT_EQ(field([](auto& p) { p.logit_bias = {{100, 1.0F}}; }), "logit_bias");
  EXPECT_EQ(field([](auto& p) { p.logit_bias = {{1, kNan}}; }), "logit_bias");
  EXPECT_EQ(field([](auto& p) { p.stop = {""}; }), "stop");
  EXPECT_EQ(field([](auto& p) { p.stop = {"\xFF"}; }), "stop");
  EXPECT_EQ(field([](auto& p) { p.stop_token_ids = {-1}; }), "stop_token_ids");
}

TEST(CheckParams, BoundsWhatARequestMayListAndSayHowMuch) {
  const auto field = [](auto change) {
    SamplingParams params;
    change(params);
    const auto checked = check_params(params, 5000);
    return checked.ok() ? std::string("fine") : checked.error().param;
  };
  EXPECT_EQ(field([](auto& p) { p.stop.assign(16, std::string(256, 'a')); }), "fine");
  EXPECT_EQ(field([](auto& p) { p.stop.assign(17, "a"); }), "stop");
  EXPECT_EQ(field([](auto& p) { p.stop = {std::string(257, 'a')}; }), "stop");
  EXPECT_EQ(field([](auto& p) { p.stop_token_ids.assign(64, 1); }), "fine");
  EXPECT_EQ(field([](auto& p) { p.stop_token_ids.assign(65, 1); }), "stop_token_ids");
  EXPECT_EQ(field([](auto& p) { p.logit_bias.assign(1024, {1, 0.5F}); }), "fine");
  EXPECT_EQ(field([](auto& p) { p.logit_bias.assign(1025, {1, 0.5F}); }), "logit_bias");
  EXPECT_EQ(field([](auto& p) { p.logit_bias = {{1, 100.5F}}; }), "logit_bias");
  EXPECT_EQ(field([](auto& p) { p.max_tokens = 1'000'000, p.min_tokens = 1'000'000; }), "fine");
  EXPECT_EQ(field([](auto& p) { p.min_tokens = 1'000'001; }), "min_tokens");
  EXPECT_EQ(field([](auto& p) { p.prompt_logprobs = 21; }), "prompt_logprobs");
}

TEST(CheckParams, TellsTheValueAndTheRange) {
  SamplingParams params;
  params.top_p = 1.5F;
  const auto checked = check_params(params, 10);
  ASSERT_FALSE(checked.ok());
  EXPECT_EQ(checked.error().code, ErrorCode::invalid_request);
  EXPECT_EQ(checked.error().message, "top_p is 1.5; it must be greater than 0 and at most 1");
}

}  // namespace
}  // namespace headwater::model
