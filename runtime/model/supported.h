#pragma once
// Whether a file is a model of a kind that is served at all. What nothing here asks for would be left out of the
// computation, and the answers would be wrong.

#include "headwater/result.h"
#include "model/gguf.h"

namespace headwater::model {

/// Error: the file is no language model (an adapter, a projector, a vocabulary alone …), or has a feature that no
/// architecture here computes (experts, state-space layers …): which, where it is said, and what to take in its place.
/// Error, too: it names no architecture. Whether that is known is not looked at.
Result<void> check_supported(const GgufFile& file);

}  // namespace headwater::model
