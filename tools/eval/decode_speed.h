#pragma once
// How fast one sequence is decoded in a long context, for several formats of the KV cache in turns: what else a machine
// does meanwhile then slows all of them.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/kv_format.h"
#include "model/architecture.h"

namespace headwater::eval {

struct DecodeOptions {
  std::uint32_t context = 4096;  ///< tokens in the cache
  std::uint32_t steps = 16;      ///< tokens of each measurement
  std::uint32_t rounds = 5;      ///< measurements of each format
};

/// Tokens per second, [formats][rounds]. Only the first blocks are computed, and the others are copies of them: speed
/// does not depend on what they hold. seconds: a clock. REQUIRES: context at least 1, and with the steps and one more
/// within the model's context. The arena is another one afterwards. Throws as Architecture::allocate_kv().
std::vector<std::vector<double>> decode_speeds(model::Architecture& model, std::span<const kernels::KvFormat> formats,
                                               const DecodeOptions& options, const std::function<double()>& seconds,
                                               const std::function<void()>& on_measured = {});

}  // namespace headwater::eval
