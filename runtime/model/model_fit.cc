#include "model/model_fit.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "model/architecture.h"
#include "model/decoder_spec.h"
#include "model/info_lines.h"
#include "model/model_info.h"
#include "model/model_tensors.h"
#include "model/served_model.h"

namespace headwater::model {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
constexpr std::uint32_t kUsualContext = 4096;
/// Rows of a step at most, by default: what the first of them sees is still needed.
constexpr std::uint64_t kStepRows = 512;

/// Bytes of a block's keys and values in a format. Nothing: the format cannot hold the model's heads.
std::optional<kernels::KvBlockBytes> block_bytes(const ModelShape& shape, const kernels::Backend& backend,
                                                 const kernels::KvFormat& format) {
  try {
    return backend.kv_block_bytes({shape.kv_layers, kBlockTokens, format});
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

/// Blocks of a sequence: all of them, and those that layers with a window keep at once.
struct SequenceBlocks {
  std::uint64_t all = 0, windowed = 0;
};
SequenceBlocks blocks_of(const ModelShape& shape, std::uint32_t context, const kernels::BlockGrid& grid) {
  const std::uint64_t all = grid.covering(context);
  // A window that begins within a block needs one more.
  const std::uint64_t seen = (shape.kv_window + kStepRows + grid.tokens - 1) / grid.tokens + 1;
  return {all, std::min(all, seen)};
}

/// "3,072 bytes a token, and 15,360 in window layers".
std::string token_bytes(const kernels::KvBlockBytes& block) {
  const std::string full = with_commas(block.full / kBlockTokens);
  const std::string windowed = with_commas(block.windowed / kBlockTokens);
  if (block.windowed == 0) return full + " bytes a token";
  if (block.full == 0) return windowed + " bytes a token in window layers";
  return full + " bytes a token, and " + windowed + " in window layers";
}

void add_window(const ModelShape& shape, InfoLines& lines) {
  if (shape.kv_window == 0) return;
  const auto n = std::ranges::count_if(shape.kv_layers, &kernels::KvLayer::windowed);
  lines.add("window", with_commas(shape.kv_window) + " tokens, in " + std::to_string(n) + " of " +
                          std::to_string(shape.n_layers) + " layers");
}

/// A table of the cache's formats.
void add_memory(const ModelShape& shape, std::uint64_t weights, const kernels::Backend& backend,
                const FitQuestion& question, InfoLines& lines) {
  lines.add("weights", readable_bytes(weights) + " at most, while they are loaded");
  const SequenceBlocks plain = blocks_of(shape, question.context, kBlockTokens);
  std::string asked = "of " + with_commas(question.sequences) +
                      (question.sequences == 1 ? " sequence of " : " sequences of ") + with_commas(question.context) +
                      " tokens";
  if (shape.kv_window > 0 && plain.windowed < plain.all) {
    asked += ", of which window layers keep " + with_commas(plain.windowed * kBlockTokens) + " at most";
  }
  lines.add("KV cache", asked);
  for (const auto& [policy, bits] : std::initializer_list<std::pair<const char*, const char*>>{
           {"0", "16 bits"}, {"8", "8 bits"}, {"k8v4", "8 and 4 bits"}, {"4", "4 bits"}}) {
    const auto format = kernels::parse_quant_policy(policy);
    const auto bytes = format ? block_bytes(shape, backend, *format) : std::nullopt;
    std::string value = std::string(bits) + ": ";
    if (bytes) {
      const SequenceBlocks blocks = blocks_of(shape, question.context, kernels::block_grid(*format, kBlockTokens));
      const std::uint64_t all = question.sequences * (bytes->full * blocks.all + bytes->windowed * blocks.windowed);
      value += token_bytes(*bytes) + ", " + readable_bytes(all) + ", with the weights " + readable_bytes(all + weights);
    } else {
      value += "cannot hold this model's heads";
    }
    lines.add("  " + std::string(policy), value);
  }
}

/// Each kind of matrix with what its products run on, and in how many layers.
void add_matrices(const GgufFile& file, const DecoderSpec& spec, const kernels::Backend& backend, InfoLines& lines) {
  std::map<std::string, std::map<std::string, std::size_t>> paths;
  for (const auto& [kind, matrix] : all_matrices(file, spec)) {
    ++paths[kind][backend.matrix_path(typed_parts(file, matrix), matrix.use).text()];
  }
  lines.add("products", "by kind of matrix");
  for (const auto& [kind, counts] : paths) {
    std::string value;
    for (const auto& [path, n] : counts) value += (value.empty() ? "" : "; ") + path + " x " + std::to_string(n);
    lines.add("  " + kind, value);
  }
}

}  // namespace

std::vector<std::string> fallbacks(const GgufFile& file, const kernels::Backend& backend) {
  std::vector<std::string> found;
  const auto spec = read_decoder_spec(file);
  if (!spec) return found;
  for (const auto& [kind, matrix] : all_matrices(file, *spec)) {
    const kernels::MatrixPath path = backend.matrix_path(typed_parts(file, matrix), matrix.use);
    if (path.obstacle.empty()) continue;
    std::string names;
    for (const TensorRows& part : matrix.parts) {
      if (names.find(part.name) == std::string::npos) names += (names.empty() ? "" : " + ") + part.name;
    }
    found.push_back(names + ": in " + path.text());
  }
  return found;
}

Result<std::string> describe_fit(const GgufFile& file, const kernels::Backend& backend, const FitQuestion& question) {
  const auto served = read_served_model(file, {.pre_tokenizer = question.pre_tokenizer});
  if (!served) return served.error();
  const auto spec = read_decoder_spec(file);
  if (!spec) return spec.error();
  const ModelShape& shape = served->shape;
  FitQuestion asked = question;
  if (asked.context == 0) asked.context = std::min(shape.context_length, kUsualContext);
  if (asked.context > shape.context_length) {
    return Error{
        ErrorCode::invalid_window,
        "--context " + std::to_string(asked.context) + " is beyond the model's " + std::to_string(shape.context_length),
        ""};
  }
  InfoLines lines;
  add_window(shape, lines);
  add_memory(shape, Architecture::weight_bytes(file, backend), backend, asked, lines);
  add_matrices(file, *spec, backend, lines);
  return std::move(lines).text();
}

}  // namespace headwater::model
