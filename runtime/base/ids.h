#pragma once
// Names of things inside the runtime. Those of requests, clients and tokens are public: headwater/request.h.

#include <cstdint>

namespace headwater {

/// A block of the KV cache's arena; -1: none.
using BlockId = std::int32_t;

}  // namespace headwater
