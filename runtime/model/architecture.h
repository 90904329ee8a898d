#pragma once
// A model's forward pass behind an interface. What the file's architecture is like stands in decoder_spec.cc.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "kernels/backend.h"
#include "model/gguf.h"

namespace headwater::model {

/// What other parts need to know of a model.
struct ModelShape {
  std::string architecture;
  std::uint32_t vocab_size = 0;
  std::uint32_t context_length = 0;  ///< tokens
  std::uint32_t n_layers = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t embedding_dim = 0;
  std::uint64_t parameters = 0;
  std::vector<kernels::KvLayer> kv_layers;  ///< [n_layers]
  std::uint32_t kv_window = 0;              ///< tokens: the largest window of a layer; 0: none has one
};

using BatchSequence = kernels::SequenceRows;

/// The rows of one forward pass.
struct Batch {
  std::span<const TokenId> tokens;            ///< [rows]
  std::span<const BatchSequence> sequences;   ///< cover the rows in order
  std::span<const std::uint32_t> logit_rows;  ///< rows whose logits are wanted, ascending
};

/// Takes a sentence for a person who waits or who should mend something.
using Tell = std::function<void(bool warning, const std::string& sentence)>;

/// Threading: one caller at a time (the executor).
class Architecture {
 public:
  /// Reads the architecture's name from the file. context: the most tokens that a sequence will have, which matters to
  /// files that scale positions in two ways; 0: the model's own context. tell: hears what is done with the maps of
  /// keys (kv_maps_finder.h), which are found when a format first needs them. Errors: unknown (the known are listed),
  /// missing, misshapen or unknown tensors, dimensions that do not fit together.
  static Result<std::unique_ptr<Architecture>> load(const std::shared_ptr<const GgufFile>& file,
                                                    std::shared_ptr<kernels::Backend> backend,
                                                    std::uint32_t context = 0, Tell tell = {});
  /// Bytes that load() takes at most, from the file's list of tensors; the weights stay, a tensor or two are under way.
  static std::uint64_t weight_bytes(const GgufFile& file, const kernels::Backend& backend);
  /// The shape alone, from metadata; checks all that can be checked without loading weights.
  static Result<ModelShape> shape_of(const GgufFile& file);

  virtual ~Architecture() = default;
  virtual const ModelShape& shape() const = 0;
  /// Names how results are rounded and what else decides them beside the file: where two have one name, the same file
  /// gives the same bits in a KV arena of that format. What the format needs to know of the model is found first, as by
  /// allocate_kv(): then an arena that is there is gone.
  virtual std::string numerics(const kernels::KvFormat& format) = 0;

  /// No other format than those so far will be asked for: what was kept to find more of the model is given back.
  virtual void settle() {}

  /// Bytes that one block takes over all layers and heads. Throws std::invalid_argument, where the format cannot hold
  /// the model's heads.
  virtual kernels::KvBlockBytes kv_block_bytes(std::uint32_t block_tokens, const kernels::KvFormat& format) const = 0;
  /// (Re)creates the KV arena; its old contents are gone. Throws std::bad_alloc; std::invalid_argument as above.
  virtual void allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens,
                           const kernels::KvFormat& format = {}) = 0;

  /// The memory of these whole blocks, and of the windowed layers of those, returns to the system. What they held is
  /// gone, and they may be written again at any time. Other blocks keep what they hold.
  virtual void give_back_kv(std::span<const std::int32_t> blocks, std::span<const std::int32_t> windows) = 0;

  /// Gives block `to` the keys and values of block `from`, in all layers.
  virtual void copy_kv_block(std::int32_t from, std::int32_t to) = 0;

  /// All that a block holds, kv_block_bytes().total() of it, and the way back: a block written with what was read is
  /// the same block. Blocks that differ may be read and written side by side, but not beside forward().
  virtual void read_kv_block(std::int32_t block, std::span<std::byte> out) const = 0;
  virtual void write_kv_block(std::int32_t block, std::span<const std::byte> bytes) = 0;

  /// Computes the rows, writes their keys and values into their sequences' blocks, and gives
  /// logits [logit_rows, vocab], which may be overwritten and last until the next call. A row's result is bit-identical
  /// whatever rows stand beside it.
  virtual std::span<float> forward(const Batch& batch) = 0;

  /// Runs work(0) … work(n - 1) on the threads that compute; they must not throw.
  virtual void run_on_host(std::size_t n, const std::function<void(std::size_t)>& work) = 0;
};

}  // namespace headwater::model
