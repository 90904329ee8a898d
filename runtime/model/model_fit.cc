#include "model/model_fit.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "model/architecture.h"
#include "model/info_lines.h"
#include "model/model_info.h"
#include "model/tokenizer.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
constexpr std::uint32_t kUsualContext = 4096;

/// Bytes of a block's keys and values in a format. 0: the format cannot hold the model's heads.
std::uint64_t block_bytes(const ModelShape& shape, const kernels::Backend& backend, const kernels::KvFormat& format) {
  try {
    return backend.kv_block_bytes({shape.n_layers, shape.n_kv_heads, shape.head_dim, kBlockTokens, format});
  } catch (const std::invalid_argument&) {
    return 0;
  }
}

/// A table of the cache's formats.
void add_memory(const ModelShape& shape, std::uint64_t weights, const kernels::Backend& backend,
                const FitQuestion& question, InfoLines& lines) {
  lines.add("weights", readable_bytes(weights) + " when they are loaded");
  lines.add("KV cache", "of " + with_commas(question.sequences) +
                            (question.sequences == 1 ? " sequence of " : " sequences of ") +
                            with_commas(question.context) + " tokens");
  const std::uint64_t blocks =
      std::uint64_t{question.sequences} * ((question.context + kBlockTokens - 1) / kBlockTokens);
  for (const auto& [policy, bits] : std::initializer_list<std::pair<const char*, const char*>>{
           {"0", "16 bits"}, {"8", "8 bits"}, {"k8v4", "8 and 4 bits"}, {"4", "4 bits"}}) {
    const auto format = kernels::parse_quant_policy(policy);
    const std::uint64_t bytes = format ? block_bytes(shape, backend, *format) : 0;
    std::string value = std::string(bits) + ": ";
    if (bytes > 0) {
      value += with_commas(bytes / kBlockTokens) + " bytes a token, " + readable_bytes(bytes * blocks) +
               ", with the weights " + readable_bytes(bytes * blocks + weights);
    } else {
      value += "cannot hold this model's heads";
    }
    lines.add("  " + std::string(policy), value);
  }
}

/// Matrices whose rows are computed together: queries with keys and values, gate with up.
struct Kind {
  std::string name;
  std::size_t place;  ///< among the parts
};
Kind kind_of(std::string_view tensor) {
  constexpr std::array<std::pair<std::string_view, std::pair<std::string_view, std::size_t>>, 5> kFused = {
      {{"attn_q", {"attn_qkv", 0}},
       {"attn_k", {"attn_qkv", 1}},
       {"attn_v", {"attn_qkv", 2}},
       {"ffn_gate", {"ffn_gate_up", 0}},
       {"ffn_up", {"ffn_gate_up", 1}}}};
  for (const auto& [part, kind] : kFused) {
    if (tensor == part) return {std::string(kind.first), kind.second};
  }
  return {std::string(tensor), 0};
}

/// "blk.12.attn_q.weight" → {12, "attn_q"}; "output.weight" → {-1, "output"}. Empty: not a weight.
std::pair<long, std::string> parse_name(std::string_view name) {
  if (!name.ends_with(".weight")) return {-1, ""};
  name.remove_suffix(7);
  if (!name.starts_with("blk.")) return {-1, std::string(name)};
  const std::size_t dot = name.find('.', 4);
  if (dot == name.npos || dot > 10 || name.substr(4, dot - 4).find_first_not_of("0123456789") != name.npos) {
    return {-1, std::string(name)};
  }
  return {std::stol(std::string(name.substr(4, dot - 4))), std::string(name.substr(dot + 1))};
}

/// Each kind of matrix with what its products run on, and of how many layers.
void add_matrices(const GgufFile& file, const kernels::Backend& backend, InfoLines& lines) {
  std::map<std::pair<std::string, long>, std::map<std::size_t, kernels::HostTensor>> matrices;
  const bool tied = file.find_tensor("output.weight") == nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.dims.size() != 2) continue;
    auto [layer, name] = parse_name(tensor.name);
    if (name == "token_embd") name = tied ? "output" : "";  // else it is looked up, and no product
    if (name.empty()) continue;
    const Kind kind = kind_of(name);
    matrices[{kind.name, layer}][kind.place] = {nullptr, tensor.type, tensor.dims[1], tensor.dims[0]};
  }
  std::map<std::string, std::map<std::string, std::size_t>> paths;
  for (const auto& [key, by_place] : matrices) {
    std::vector<kernels::HostTensor> parts;
    for (const auto& [place, part] : by_place) parts.push_back(part);
    ++paths[key.first][backend.matrix_path(parts)];
  }
  lines.add("products", "by kind of matrix");
  for (const auto& [kind, counts] : paths) {
    std::string value;
    for (const auto& [path, n] : counts) value += (value.empty() ? "" : "; ") + path + " x " + std::to_string(n);
    lines.add("  " + printable(kind), value);
  }
}

}  // namespace

Result<void> check_served(const GgufFile& file) {
  const auto shape = Architecture::shape_of(file);
  if (!shape) return shape.error();
  const auto tokenizer = Tokenizer::load(file);
  if (!tokenizer) return tokenizer.error();
  if ((*tokenizer)->vocab_size() != shape->vocab_size) {
    return file.invalid("the vocabulary has " + std::to_string((*tokenizer)->vocab_size()) +
                        " tokens and the embedding " + std::to_string(shape->vocab_size) + " rows, expected as many");
  }
  return {};
}

Result<std::string> describe_fit(const GgufFile& file, const kernels::Backend& backend, const FitQuestion& question) {
  if (auto served = check_served(file); !served) return served.error();
  const auto shape = Architecture::shape_of(file);
  if (!shape) return shape.error();
  FitQuestion asked = question;
  if (asked.context == 0) asked.context = std::min(shape->context_length, kUsualContext);
  if (asked.context > shape->context_length) {
    return Error{ErrorCode::invalid_window,
                 "--context " + std::to_string(asked.context) + " is beyond the model's " +
                     std::to_string(shape->context_length),
                 ""};
  }
  InfoLines lines;
  add_memory(*shape, Architecture::weight_bytes(file, backend), backend, asked, lines);
  add_matrices(file, backend, lines);
  return std::move(lines).text();
}

}  // namespace headwater::model
