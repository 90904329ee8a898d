#pragma once
// Time as plain classes know it.

#include <cstdint>

namespace headwater {

/// Nanoseconds of the steady clock. Plain classes never read a clock; time is passed in.
using TimeNs = std::int64_t;

}  // namespace headwater
