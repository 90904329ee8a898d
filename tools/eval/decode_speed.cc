#include "tools/eval/decode_speed.h"

#include <algorithm>
#include <numeric>

namespace headwater::eval {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
/// Blocks that are computed; the first is not like the others.
constexpr std::uint32_t kComputedBlocks = 5;

class Sequence {
 public:
  Sequence(model::Architecture& model, const kernels::KvFormat& format, const DecodeOptions& options)
      : model_(model), at_(options.context) {
    const kernels::BlockGrid grid = kernels::block_grid(format, kBlockTokens);
    const std::uint32_t blocks = grid.covering(options.context + 1 + options.steps);
    table_.resize(blocks);
    std::iota(table_.begin(), table_.end(), 0);
    model.allocate_kv(blocks, kBlockTokens, format);
    compute(0, std::min(options.context, grid.begin(kComputedBlocks)));
    for (std::uint32_t block = kComputedBlocks; block < blocks; ++block) {
      model.copy_kv_block(static_cast<std::int32_t>(1 + block % (kComputedBlocks - 1)),
                          static_cast<std::int32_t>(block));
    }
  }

  void decode() { compute(at_++, 1); }

 private:
  void compute(std::uint32_t first, std::uint32_t n) {
    std::vector<TokenId> tokens(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      tokens[i] = static_cast<TokenId>((first + i) * 104729U % model_.shape().vocab_size);
    }
    const model::BatchSequence rows[] = {{0, n, first, table_}};
    const std::uint32_t last[] = {n - 1};
    model_.forward({tokens, rows, last});
  }

  model::Architecture& model_;
  std::uint32_t at_;
  std::vector<std::int32_t> table_;
};

}  // namespace

std::vector<std::vector<double>> decode_speeds(model::Architecture& model, std::span<const kernels::KvFormat> formats,
                                               const DecodeOptions& options, const std::function<double()>& seconds,
                                               const std::function<void()>& on_measured) {
  std::vector<std::vector<double>> speeds(formats.size());
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < formats.size(); ++i) {
      Sequence sequence(model, formats[i], options);
      sequence.decode();  // warms what a step touches
      const double began = seconds();
      for (std::uint32_t step = 0; step < options.steps; ++step) sequence.decode();
      speeds[i].push_back(options.steps / std::max(seconds() - began, 1e-9));
      if (on_measured) on_measured();
    }
  }
  return speeds;
}

}  // namespace headwater::eval
