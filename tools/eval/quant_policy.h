#pragma once
// Lists of quant policies, as commands take them.

#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"
#include "kernels/kv_format.h"

namespace headwater::eval {

/// How the KV cache stores keys and values, and its name.
struct QuantPolicy {
  std::string name = "0";
  kernels::KvFormat format{};
};

/// "0,8,4": names with commas between them. Errors: an unknown name (the known are listed), one that stands there
/// twice, none.
Result<std::vector<QuantPolicy>> parse_quant_policies(std::string_view list);

}  // namespace headwater::eval
