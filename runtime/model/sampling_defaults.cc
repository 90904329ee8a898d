#include "model/sampling_defaults.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace headwater::model {
namespace {

constexpr double kMostIds = std::numeric_limits<std::int32_t>::max();

/// Any number, whole or not.
std::optional<double> number(const GgufValue& value) {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* whole = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*whole);
  return std::nullopt;
}

std::string text(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  return digits;
}

class Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file) {}

  /// Takes the value where it is a number from `low` to `high`.
  template <class Value>
  void read(std::string_view name, double low, double high, Value& out) {
    const std::string key = "general.sampling." + std::string(name);
    const GgufValue* value = file_.find(key);
    if (value == nullptr) return;
    const std::optional<double> named = number(*value);
    const bool whole = std::is_floating_point_v<Value> || (named && *named == std::floor(*named));
    if (named && *named >= low && *named <= high && whole) {  // NaN is not
      out = static_cast<Value>(*named);
      return;
    }
    warnings.push_back(file_.path() + ": " + key + " is " + (named ? text(*named) : "no number") +
                       ", which no request may ask for; where a request names none it is " + text(out));
  }

  std::vector<std::string> warnings;

 private:
  const GgufFile& file_;
};

}  // namespace

SamplingDefaults sampling_defaults(const GgufFile& file) {
  SamplingDefaults defaults;
  SamplingParams& params = defaults.params;
  Reader reader(file);
  std::int32_t top_k = 0;
  reader.read("temp", 0, 100, params.temperature);
  reader.read("top_k", -1, kMostIds, top_k);
  reader.read("top_p", std::numeric_limits<float>::min(), 1, params.top_p);
  reader.read("min_p", 0, 1, params.min_p);
  params.top_k = top_k < 0 ? 0 : static_cast<std::uint32_t>(top_k);  // -1: all, as others write it
  defaults.warnings = std::move(reader.warnings);
  return defaults;
}

std::string describe_defaults(const SamplingParams& params) {
  const SamplingParams usual;
  std::string all = "temperature " + text(params.temperature);
  if (params.top_k != usual.top_k) all += ", top_k " + std::to_string(params.top_k);
  if (params.top_p != usual.top_p) all += ", top_p " + text(params.top_p);
  if (params.min_p != usual.min_p) all += ", min_p " + text(params.min_p);
  return all;
}

}  // namespace headwater::model
