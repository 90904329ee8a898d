#include "gateway/foreign_fields.h"

namespace headwater::gateway {
namespace {

/// Ways to sample, with the values that leave them off.
void refuse_samplers(Fields& fields) {
  for (const char* name :
       {"mirostat", "mirostat_mode", "dynatemp_range", "xtc_probability", "dry_multiplier", "top_a", "smoothing_factor",
        "epsilon_cutoff", "eta_cutoff", "no_repeat_ngram_size", "repetition_ngram_size", "n_probs"}) {
    fields.refuse_other_than(name, {0});
  }
  for (const char* name : {"typical_p", "typ_p", "tfs_z", "tfs", "num_beams", "length_penalty", "guidance_scale",
                           "cfg_scale", "num_return_sequences"}) {
    fields.refuse_other_than(name, {1});
  }
  for (const char* name : {"top_n_sigma", "nsigma", "t_max_predict_ms", "t_max_prompt_ms"}) {
    fields.refuse_other_than(name, {0, -1});
  }
  fields.refuse_other_than("min_keep", {0, 1});
  fields.refuse_other_than("do_sample", {true});
  fields.refuse({"samplers", "sampler_order", "logits_processors", "logits_processor", "custom_logit_processor",
                 "custom_params", "use_beam_search", "bad_words", "bad_words_ids", "banned_strings", "banned_tokens",
                 "custom_token_bans", "allowed_token_ids", "stop_regex", "negative_prompt", "watermark",
                 "post_sampling_probs"});
}

/// Answers of a given form, and calls that a model must make.
void refuse_forms(Fields& fields) {
  fields.refuse_other_than("response_format", {Json{{"type", "text"}}});
  fields.refuse({"functions", "function_call"});
  fields.refuse_other_than("tool_choice", {"none", "auto"});  // what a model calls stands in its text
  fields.refuse({"grammar", "grammar_triggers", "json_schema", "guided_json", "guided_regex", "guided_choice",
                 "guided_grammar", "structured_outputs", "structural_tag", "regex", "ebnf", "format"});
}

/// What goes into the prompt, and which weights meet it.
void refuse_inputs(Fields& fields) {
  fields.refuse({"truncate",
                 "truncate_prompt_tokens",
                 "continue_final_message",
                 "chat_template",
                 "documents",
                 "mm_processor_kwargs",
                 "images",
                 "image_data",
                 "multimodal_data",
                 "input_embeds",
                 "prompt_embeds",
                 "lora",
                 "lora_path",
                 "lora_request",
                 "lora_adapters",
                 "adapter",
                 "adapter_name",
                 "safe_prompt",
                 "reasoning",
                 "reasoning_effort",
                 "thinking",
                 "thinking_budget",
                 "enable_thinking",
                 "think"});
  fields.refuse_other_than("do_preprocess", {true});
}

/// Objects in which others take parameters; here those stand side by side.
void refuse_wrappings(Fields& fields) { fields.refuse({"options", "extra_body", "parameters", "sampling_params"}); }

/// What is told of the answer.
void refuse_outputs(Fields& fields) {
  fields.refuse_other_than("skip_special_tokens", {true});
  fields.refuse_other_than("detokenize", {true});
  fields.refuse({"include_stop_str_in_output", "no_stop_trim", "return_token_ids", "return_tokens",
                 "return_hidden_states", "return_logprob"});
}

/// llama.cpp holds only the latest tokens against repetition; here it is all of them, or none.
void read_repetition_window(Fields& fields, const SamplingParams& params) {
  const Json* window = fields.value("repeat_last_n");
  if (window == nullptr || params.repetition_penalty == 1.0F || *window == -1) return;
  fields.fail("repeat_last_n",
              in_quotes(fields.path("repeat_last_n")) +
                  " is not supported by this server, where \"repetition_penalty\" looks at the whole text; leave it "
                  "out, or send -1",
              ErrorCode::unsupported_parameter);
}

}  // namespace

void read_foreign(Fields& fields, const SamplingParams& params) {
  refuse_samplers(fields);
  refuse_forms(fields);
  refuse_inputs(fields);
  refuse_wrappings(fields);
  refuse_outputs(fields);
  read_repetition_window(fields, params);
  // Settings of what is refused above, and of how others serve.
  fields.accept({"parallel_tool_calls",
                 "mirostat_tau",
                 "mirostat_eta",
                 "dynatemp_exponent",
                 "xtc_threshold",
                 "dry_base",
                 "dry_allowed_length",
                 "dry_penalty_last_n",
                 "dry_sequence_breakers",
                 "smoothing_curve",
                 "early_stopping",
                 "guided_decoding_backend",
                 "guided_whitespace_pattern",
                 "grammar_lazy",
                 "spaces_between_special_tokens",
                 "priority",
                 "request_id",
                 "cache_prompt",
                 "id_slot",
                 "slot_id",
                 "n_keep",
                 "n_discard",
                 "num_ctx",
                 "num_keep",
                 "keep_alive",
                 "timings_per_token",
                 "return_progress"});
}

}  // namespace headwater::gateway
