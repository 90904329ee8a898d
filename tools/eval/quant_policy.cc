#include "tools/eval/quant_policy.h"

#include <algorithm>

namespace headwater::eval {
namespace {

struct Known {
  const char* name;
  const char* meaning;
  bool available;
};

constexpr Known kKnown[] = {
    {"0", "16 bits", true},
    {"8", "8 bits", false},
    {"4", "4 bits", false},
    {"k8v4", "keys in 8 bits, values in 4", false},
};

/// `known`: all names; otherwise those that this build has.
std::string names(bool known) {
  std::string list;
  for (const Known& entry : kKnown) {
    if (!known && !entry.available) continue;
    list += (list.empty() ? "" : ", ") + std::string(entry.name) + " (" + entry.meaning + ")";
  }
  return list;
}

Error wrong(const std::string& message) { return {"invalid_quant_policy", message, "quant_policy"}; }

Result<QuantPolicy> parse_one(std::string_view text) {
  const auto* entry = std::ranges::find_if(kKnown, [&](const Known& known) { return text == known.name; });
  const std::string quoted = "\"" + std::string(text.substr(0, 64)) + "\"";
  if (entry == std::end(kKnown)) return wrong(quoted + " is no quant policy; known: " + names(true));
  if (!entry->available) return wrong("quant policy " + quoted + " is not available; supported: " + names(false));
  return QuantPolicy{std::string(text)};
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

void allocate_kv(model::Architecture& model, const QuantPolicy& /*policy*/, std::uint32_t n_blocks,
                 std::uint32_t block_tokens) {
  model.allocate_kv(n_blocks, block_tokens);  // 16 bits, the only format there is
}

}  // namespace headwater::eval
