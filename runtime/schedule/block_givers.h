#pragma once
// Who gives blocks up when there are no more: the rule that keeps the oldest sequence going.

#include <vector>

#include "schedule/sequence.h"

namespace headwater::schedule {

/// Sequences whose blocks, together, free at least `missing` blocks, or as many as can be had: first of `waiting` those
/// that hold some, newest first; then of `running`, newest first, but never its first, the oldest. A block that
/// somebody else still uses frees nothing. `beneficiary` (may be nullptr) gives nothing.
/// `running`: oldest first. `waiting`: any order.
std::vector<Sequence*> block_givers(const std::vector<Sequence*>& running, std::vector<Sequence*> waiting,
                                    const Sequence* beneficiary, std::uint32_t missing);

}  // namespace headwater::schedule
