#include "model/spec_reader.h"

#include <cmath>

#include "model/gguf_value.h"
#include "model/utf8.h"

namespace headwater::model {

std::uint32_t SpecReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
  return 1;
}

std::uint32_t SpecReader::fail(const std::string& name, const std::string& message) {
  return fail(file_.invalid("metadata \"" + prefix_ + name + "\" " + message));
}

std::uint32_t SpecReader::dimension(const char* name, std::uint64_t most, std::optional<std::uint64_t> fallback) {
  const std::string key = prefix_ + name;
  const auto value = fallback ? file_.get_uint_or(key, *fallback) : file_.get_uint(key);
  if (!value) return fail(value.error());
  if (*value == 0 || *value > most) {
    return fail(name, "is " + std::to_string(*value) + ", expected 1 … " + std::to_string(most));
  }
  return static_cast<std::uint32_t>(*value);
}

std::uint32_t SpecReader::count(const char* name, std::uint64_t most, std::uint64_t fallback) {
  const auto value = file_.get_uint_or(prefix_ + name, fallback);
  if (!value) return fail(value.error());
  if (*value > most) return fail(name, "is " + std::to_string(*value) + ", expected 0 … " + std::to_string(most));
  return static_cast<std::uint32_t>(*value);
}

double SpecReader::positive(const char* name, std::optional<double> fallback) {
  const std::string key = prefix_ + name;
  if (!fallback && file_.find(key) == nullptr) return fail(name, "is missing, expected a number greater than 0");
  const auto value = file_.get_float_or(key, fallback.value_or(1));
  if (!value) return fail(value.error());
  if (!(*value > 0) || !std::isfinite(*value)) {
    return fail(name, found_value(file_.find(key)) + ", expected a number greater than 0");
  }
  return *value;
}

std::string SpecReader::text(const char* name, const char* fallback) {
  if (!has(name)) return fallback;
  const auto value = file_.get_string(prefix_ + name);
  if (value) return *value;
  fail(value.error());
  return fallback;
}

void read_window(SpecReader& read, DecoderSpec& spec) {
  const std::uint32_t window = read.count("attention.sliding_window", kMaxContext, 0);
  if (window >= spec.shape.context_length) return;
  for (LayerSpec& layer : spec.layers) layer.window = window;
}

void read_rope_scaling(SpecReader& read, RopeSpec& rope, std::uint32_t model_context) {
  const std::string type = read.text("rope.scaling.type", "linear");
  if (type == "none") return;
  if (type != "linear" && type != "yarn") {
    read.fail("rope.scaling.type", "is \"" + printable(type) + "\", expected one of none, linear, yarn");
    return;
  }
  // Older files have the other name.
  rope.factor = read.positive(read.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear", 1);
  if (type == "linear") return;
  rope.yarn = RopeSpec::Yarn{};
  rope.yarn->original_context = read.dimension("rope.scaling.original_context_length", kMaxContext, model_context);
  rope.yarn->beta_fast = read.positive("rope.scaling.yarn_beta_fast", rope.yarn->beta_fast);
  rope.yarn->beta_slow = read.positive("rope.scaling.yarn_beta_slow", rope.yarn->beta_slow);
  rope.magnitude = yarn_magnitude(rope.factor) * static_cast<float>(read.positive("rope.scaling.attn_factor", 1));
}

}  // namespace headwater::model
