#pragma once
// Values of the command line, put into the document before anything is checked.

#include "headwater/runtime.h"
#include "topology/document.h"

namespace headwater::topology {

/// Replaces or adds the values in `root`; each remembers the flag it comes from.
void apply_overrides(const Overrides& overrides, Node& root, Problems& problems);

}  // namespace headwater::topology
