#pragma once
// How the KV cache stores keys and values, by the names that `quant_policy` has everywhere.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"
#include "model/architecture.h"

namespace headwater::eval {

struct QuantPolicy {
  std::string name;  ///< "0", "8", "4", "k8v4"
};

/// "0,8,4": names with commas between them. Errors: an unknown name (the known are listed), one that this build does
/// not have, one that stands there twice, none.
Result<std::vector<QuantPolicy>> parse_quant_policies(std::string_view list);

/// Makes the model's KV arena anew, in the policy's format.
void allocate_kv(model::Architecture& model, const QuantPolicy& policy, std::uint32_t n_blocks,
                 std::uint32_t block_tokens);

}  // namespace headwater::eval
