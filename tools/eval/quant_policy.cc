#include "tools/eval/quant_policy.h"

#include <algorithm>
#include <utility>

namespace headwater::eval {
namespace {

Error wrong(const std::string& message) { return {ErrorCode::invalid_quant_policy, message, "quant_policy"}; }

Result<QuantPolicy> parse_one(std::string_view text) {
  const auto format = kernels::parse_quant_policy(text);
  if (format) return QuantPolicy{kernels::quant_policy(*format), *format};
  return wrong("\"" + std::string(text.substr(0, 64)) + "\" is no quant policy; supported are " +
               std::string(kernels::kQuantPolicies));
}

}  // namespace

Result<std::vector<QuantPolicy>> parse_quant_policies(std::string_view list) {
  std::vector<QuantPolicy> policies;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    auto policy = parse_one(list.substr(begin, end - begin));
    if (!policy) return policy.error();
    const auto same = [&](const QuantPolicy& other) { return other.name == policy->name; };
    if (std::ranges::any_of(policies, same)) return wrong("quant policy \"" + policy->name + "\" stands there twice");
    policies.push_back(std::move(*policy));
    begin = end + 1;
  }
  return policies;
}

}  // namespace headwater::eval
