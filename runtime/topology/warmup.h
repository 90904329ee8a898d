#pragma once
// The prompts of `cache: { warmup: [...] }`: a text, { messages: [{ role, content }, …] }, or { file: PATH }.

#include <vector>

#include "topology/document.h"
#include "topology/topology.h"

namespace headwater::topology {

inline constexpr std::size_t kMaxWarmupPrompts = 256;
inline constexpr std::size_t kMaxWarmupBytes = 16 << 20;  ///< of all their texts

/// Reads the list, and the files that it names (paths are relative to the working directory). `list` may be null.
std::vector<WarmupPrompt> read_warmup(const Node* list, Problems& problems);

}  // namespace headwater::topology
