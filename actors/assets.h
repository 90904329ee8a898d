#pragma once
// What the stages of one runtime share and nobody changes: the model's file, tokenizer and template, and
// the sizes that follow from model, topology and memory.
// Threading: immutable once loaded, any number of threads may read; `architecture` is the executor's alone.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/window.h"
#include "headwater/result.h"
#include "headwater/runtime.h"
#include "kernels/block_grid.h"
#include "model/architecture.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "schedule/step.h"
#include "topology/topology.h"

namespace headwater::actors {

struct Assets {
  ModelInfo info;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::shared_ptr<const model::ChatTemplate> chat_template;  ///< null: the model has none
  std::array<std::uint8_t, 32> model_digest{};
  std::string compute;            ///< model::Architecture::numerics()
  kernels::BlockGrid grid;        ///< which tokens of a sequence the blocks of the cache hold
  std::uint64_t block_bytes = 0;  ///< keys and values of a block in all layers
  std::uint32_t total_blocks = 0;
  cache::WindowOptions window;            ///< what blocks take, and all together
  std::uint32_t max_sequence_tokens = 0;  ///< prompt and answer: of model, session_len and pool the least
  /// The model with its KV arena. Only the one live executor touches it; it outlives an executor that
  /// is restarted, so that the weights are loaded once.
  std::shared_ptr<model::Architecture> architecture;
  std::function<TimeNs()> clock;  ///< steady, nanoseconds
};

/// Opens the model that the topology names and works out the sizes.
Result<std::shared_ptr<const Assets>> load_assets(const topology::Topology& topology);

/// The sizes alone: of blocks, of all together, of sequences; and what `info` says of them. `memory`: what a share of
/// it is of.
Result<void> size_cache(const topology::Topology& topology, const kernels::KvBlockBytes& block_bytes,
                        const model::ModelShape& shape, std::uint64_t memory, Assets& assets);

/// Every id that ends an answer.
std::vector<TokenId> end_tokens(const model::Tokenizer& tokenizer);

}  // namespace headwater::actors
