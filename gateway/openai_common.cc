#include "gateway/openai_common.h"

#include "gateway/cache_fields.h"
#include "gateway/cache_report.h"
#include "gateway/shared_fields.h"

namespace headwater::gateway {
namespace {

void read_streaming(Fields& fields, GenerateCall& call) {
  fields.read("stream", call.stream);
  const Json* options = fields.value("stream_options");
  if (options == nullptr) return;
  if (!options->is_object()) {
    return fields.fail_type("stream_options", "an object", *options);
  }
  Fields inner = fields.nested("stream_options", *options);
  inner.read("include_usage", call.include_usage);
  inner.read("continuous_usage_stats", call.continuous_usage);
  inner.accept({"include_obfuscation"});
  if (const auto read = inner.finish(); !read) return fields.fail(read.error());
  call.continuous_usage = call.continuous_usage && call.include_usage;
  if (!call.stream) fields.fail("stream_options", "\"stream_options\" is only allowed with \"stream\": true");
}

void read_counts(Fields& fields, GenerateCall& call) {
  fields.read("n", call.n, 1, kMaxChoices);
  std::uint32_t best_of = call.n;
  fields.read("best_of", best_of, 1, kMaxChoices);
  if (best_of != call.n) {
    fields.fail("best_of", "\"best_of\" other than \"n\" is not supported by this server; leave it out",
                ErrorCode::unsupported_parameter);
  }
}

}  // namespace

void read_common(Fields& fields, const ModelInfo& model, GenerateCall& call) {
  call.model = model.name;
  read_model(fields, model);
  read_streaming(fields, call);
  read_counts(fields, call);
  call.base.params = model.sampling;
  read_sampling(fields, call.base.params);
  read_timeout(fields, call.base);
  fields.read("cache_salt", call.base.cache_salt);
  read_cache_control(fields, call.base.cache);
  fields.accept(
      {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"});
}

Json usage_json(const GenerateCall& call, std::span<const Choice> choices) {
  std::uint64_t prompt = 0;
  std::uint64_t completion = 0;
  std::vector<Usage> prompts;
  for (const Choice& choice : choices) {
    completion += choice.usage.completion_tokens;
    if (choice.index % call.n != 0) continue;
    prompt += choice.usage.prompt_tokens;
    prompts.push_back(choice.usage);
  }
  Json cache = cache_json(prompts);
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", {{"cached_tokens", cache["matched_tokens"]}, {"cache", std::move(cache)}}}};
}

void add_usage(const GenerateCall& call, const Choice& choice, Json& chunk) {
  if (!call.include_usage) return;
  const std::uint64_t prompt = choice.usage.prompt_tokens;
  const std::uint64_t completion = choice.usage.completion_tokens;
  chunk["usage"] =
      call.continuous_usage
          ? Json{{"prompt_tokens", prompt}, {"completion_tokens", completion}, {"total_tokens", prompt + completion}}
          : Json(nullptr);
}

std::string_view finish_name(FinishReason reason) { return reason == FinishReason::length ? "length" : "stop"; }

Json answer_json(const GenerateCall& call, std::string_view object, Json choices) {
  return {{"id", call.id},
          {"object", object},
          {"created", call.created},
          {"model", call.model},
          {"choices", std::move(choices)}};
}

}  // namespace headwater::gateway
