#include "model/supported.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "model/gguf_value.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

/// Files that are no language models.
struct OtherKind {
  std::string_view type;    ///< general.type
  std::string_view suffix;  ///< of names of its tensors, for those that do not say; empty: none
  const char* what;
  const char* way_out;
};
constexpr OtherKind kOtherKinds[] = {
    {"adapter", ".lora_a", "a LoRA adapter", "merge it into its model and give that"},
    {"mmproj", "", "the projector of a multimodal model",
     "give the language model's own file; images are not supported"},
    {"imatrix", ".in_sum2", "an importance matrix, which quantising takes", "give the model's own file"},
};

std::string is_other(const OtherKind& kind, const std::string& found) {
  return "this is " + std::string(kind.what) + " (" + found + "), expected a language model; " + kind.way_out;
}

bool has_suffix(const GgufFile& file, std::string_view suffix) {
  if (suffix.empty()) return false;
  return std::ranges::any_of(file.tensors(), [&](const GgufTensor& tensor) { return tensor.name.ends_with(suffix); });
}

Result<void> check_kind(const GgufFile& file) {
  if (file.find("general.type") != nullptr) {
    const auto type = file.get_string("general.type");
    if (!type) return type.error();
    const std::string found = "general.type is \"" + printable(*type) + "\"";
    for (const OtherKind& kind : kOtherKinds) {
      if (*type == kind.type) return file.invalid(is_other(kind, found));
    }
    if (*type != "model") return file.invalid("metadata " + found + ", expected \"model\"");
  }
  for (const OtherKind& kind : kOtherKinds) {
    if (has_suffix(file, kind.suffix)) {
      return file.invalid(is_other(kind, "it has tensors whose names end in " + std::string(kind.suffix)));
    }
  }
  return {};
}

/// A feature that nothing here computes, and the keys and tensors by which it is known.
struct Feature {
  const char* what;
  const char* way_out;
  std::string_view keys[4];     ///< behind the architecture's prefix; a number but 0, or true. Empty: no more
  std::string_view tensors[2];  ///< parts of names
};
constexpr Feature kFeatures[] = {
    {"mixture of experts is not supported", "use a dense model", {"expert_count"}, {"_exps.", ".ffn_gate_inp."}},
    {"state-space layers are not supported",
     "use a model whose layers are all attention",
     {"ssm.conv_kernel", "ssm.state_size", "ssm.inner_size", "wkv.head_size"},
     {".ssm_", ".time_mix_"}},
    {"convolution layers are not supported",
     "use a model whose layers are all attention",
     {"shortconv.l_cache"},
     {".shortconv."}},
    {"an embedding model gives no text", "use a model that generates text", {"pooling_type"}, {}},
    {"latent attention is not supported", "use a model of another architecture", {"attention.kv_lora_rank"}, {}},
    {"ALiBi is not supported", "use a model with rotary positions", {"attention.max_alibi_bias"}, {}},
    {"clamped queries, keys and values are not supported",
     "use a model of another architecture",
     {"attention.clamp_kqv"},
     {}},
    {"layers that attend and feed forward side by side are not supported",
     "use a model of another architecture",
     {"use_parallel_residual"},
     {}},
    {"attention sinks are not supported", "use a model of another architecture", {}, {".attn_sinks."}},
};

/// A number, and true as 1. None: there is no such key, or it is of another type.
std::optional<double> number(const GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(value)) return *flag ? 1 : 0;
  if (const auto* real = std::get_if<double>(value)) return *real;
  if (const auto* whole = std::get_if<std::int64_t>(value)) return static_cast<double>(*whole);
  if (const auto* whole = std::get_if<std::uint64_t>(value)) return static_cast<double>(*whole);
  return std::nullopt;
}

std::string metadata_is(const GgufFile& file, const std::string& key) {
  return "metadata \"" + printable(key) + "\" " + found_value(file.find(key));
}

/// By what the file has the feature. None: it has not.
std::optional<std::string> sign_of(const Feature& feature, const GgufFile& file, const std::string& prefix) {
  for (const std::string_view name : feature.keys) {
    const std::string key = prefix + std::string(name);
    if (!name.empty() && number(file, key).value_or(0) != 0) return metadata_is(file, key);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    for (const std::string_view part : feature.tensors) {
      if (!part.empty() && tensor.name.find(part) != std::string::npos)
        return "there is a tensor \"" + printable(tensor.name) + "\"";
    }
  }
  return std::nullopt;
}

/// A number that some architectures compute with, and the others would leave out.
struct Factor {
  const char* key;
  double neutral;  ///< as is 0
  std::string_view known_to;
};
constexpr Factor kFactors[] = {{"embedding_scale", 1, "granite"},       {"residual_scale", 1, "granite"},
                               {"logit_scale", 1, "granite"},           {"attention.scale", 0, "granite"},
                               {"attn_logit_softcapping", 0, "gemma2"}, {"final_logit_softcapping", 0, "gemma2"}};

/// Keys and values as wide as each other.
Result<void> check_widths(const GgufFile& file, const std::string& prefix) {
  const std::string key_length = prefix + "attention.key_length";
  const std::string value_length = prefix + "attention.value_length";
  const auto values = number(file, value_length);
  auto keys = number(file, key_length);
  if (!keys) {  // the embedding is shared out among the heads
    const double heads = number(file, prefix + "attention.head_count").value_or(0);
    const double embedding = number(file, prefix + "embedding_length").value_or(0);
    if (heads > 0 && embedding > 0) keys = std::floor(embedding / heads);
  }
  if (!keys || !values || *keys == *values) return {};
  return file.invalid("values of another width than keys are not supported: " + metadata_is(file, value_length) +
                      ", and keys have " + describe_value(*keys) + "; use a model of another architecture");
}

Result<void> check_factors(const GgufFile& file, const std::string& architecture) {
  for (const Factor& factor : kFactors) {
    if (factor.known_to == architecture) continue;
    const std::string key = architecture + "." + factor.key;
    const double value = number(file, key).value_or(0);
    if (value == 0 || value == factor.neutral) continue;
    return file.invalid(metadata_is(file, key) + ", expected no such factor in a model of this architecture");
  }
  return {};
}

/// Windows, where the architecture's reader knows of none.
Result<void> check_window(const GgufFile& file, const std::string& architecture) {
  constexpr std::string_view kWithout[] = {"qwen2", "qwen3", "internlm2", "granite"};
  if (std::ranges::find(kWithout, architecture) == std::end(kWithout)) return {};
  const std::string key = architecture + ".attention.sliding_window";
  const double window = number(file, key).value_or(0);
  const double context = number(file, architecture + ".context_length").value_or(0);
  if (window == 0 || window >= context) return {};
  return file.invalid(metadata_is(file, key) +
                      ", expected none, or the whole context, in a model of this architecture");
}

}  // namespace

Result<void> check_supported(const GgufFile& file) {
  if (auto kind = check_kind(file); !kind) return kind;
  const auto architecture = file.get_string("general.architecture");
  if (!architecture) return architecture.error();
  if (*architecture == "clip") return file.invalid(is_other(kOtherKinds[1], "general.architecture is \"clip\""));
  if (file.tensors().empty() && file.find("tokenizer.ggml.tokens") != nullptr) {
    return file.invalid(
        "this is a vocabulary without tensors, expected a language model; give the file with the weights");
  }
  const std::string prefix = *architecture + ".";
  for (const Feature& feature : kFeatures) {
    if (const auto sign = sign_of(feature, file, prefix)) {
      return file.invalid(std::string(feature.what) + ": " + *sign + "; " + feature.way_out);
    }
  }
  if (const std::string causal = prefix + "attention.causal"; number(file, causal).value_or(1) == 0) {
    return file.invalid("a model whose tokens see those that come later gives no text: " + metadata_is(file, causal) +
                        "; use a model that generates text");
  }
  if (auto same = check_widths(file, prefix); !same) return same;
  if (auto plain = check_factors(file, *architecture); !plain) return plain;
  return check_window(file, *architecture);
}

}  // namespace headwater::model
