#include "actors/assets.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "actors/cache_controls.h"
#include "kernels/backend.h"

namespace headwater::actors {
namespace {

/// Bytes of memory that this process may use: of the machine's and the control group's the lesser.
std::uint64_t usable_memory() {
  std::uint64_t memory =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  std::uint64_t limit = 0;
  if (std::ifstream file("/sys/fs/cgroup/memory.max"); file >> limit) memory = std::min(memory, limit);
  return memory;
}

std::string served_name(const topology::ModelSpec& spec) {
  if (!spec.name.empty()) return spec.name;
  std::error_code failed;
  const auto path = std::filesystem::canonical(spec.path, failed);
  return (failed ? std::filesystem::path(spec.path) : path).stem().string();
}

Result<std::shared_ptr<const model::ChatTemplate>> find_template(const topology::ModelSpec& spec,
                                                                 const model::GgufFile& file) {
  if (!spec.chat_template.empty()) return model::ChatTemplate::by_name(spec.chat_template);
  if (file.find("tokenizer.chat_template") == nullptr) return std::shared_ptr<const model::ChatTemplate>();
  auto jinja = file.get_string("tokenizer.chat_template");
  if (!jinja) return jinja.error();
  auto recognised = model::ChatTemplate::recognise(*jinja);
  if (!recognised) return Error{recognised.error().code, file.path() + ": " + recognised.error().message, ""};
  return recognised;
}

/// An argument of the executor, if it has one of that name: another implementation may not.
template <class Value>
std::optional<Value> executor_argument(const topology::Topology& topology, const std::string& name) {
  const topology::Stage* executor = topology.find_kind("executor");
  if (executor == nullptr) return std::nullopt;
  const auto found = executor->args.find(name);
  return found == executor->args.end() ? std::nullopt : std::optional(std::get<Value>(found->second));
}

kernels::Precision precision(const topology::Topology& topology) {
  const bool exact = executor_argument<std::string>(topology, "precision") == "exact";
  return exact ? kernels::Precision::exact : kernels::Precision::fast;
}

std::uint32_t compute_threads(const topology::Topology& topology) {
  const std::int64_t threads = executor_argument<std::int64_t>(topology, "threads").value_or(0);
  return threads > 0 ? static_cast<std::uint32_t>(threads) : topology.threads;
}

}  // namespace

std::vector<TokenId> end_tokens(const model::Tokenizer& tokenizer) {
  std::vector<TokenId> ends;
  for (TokenId id = 0; tokenizer.valid(id); ++id) {
    if (tokenizer.is_end(id)) ends.push_back(id);
  }
  return ends;
}

Result<void> size_cache(const topology::Topology& topology, std::uint64_t block_bytes, std::uint64_t memory,
                        std::uint32_t model_context, Assets& assets) {
  constexpr std::uint64_t kMostBlocks = 1U << 24U;
  const std::uint64_t bytes = topology::resolve(topology.cache.size_limit, memory);
  const std::uint64_t blocks = std::min(bytes / block_bytes, kMostBlocks);
  if (blocks == 0) {
    return Error{ErrorCode::cache_too_small,
                 "cache_size_limit gives " + std::to_string(bytes) + " bytes, and one block of " +
                     std::to_string(topology.cache.block_tokens) + " tokens takes " + std::to_string(block_bytes) +
                     "; raise it",
                 "cache_size_limit"};
  }
  assets.block_tokens = topology.cache.block_tokens;
  assets.block_bytes = block_bytes;
  assets.total_blocks = static_cast<std::uint32_t>(blocks);
  // What is pinned is there for nobody else.
  const std::uint64_t free_to_serve = blocks - blocks_of(topology.cache.max_pinned, assets.total_blocks);
  std::uint64_t tokens = std::min<std::uint64_t>(model_context, free_to_serve * assets.block_tokens);
  if (topology.session_len > 0) tokens = std::min<std::uint64_t>(tokens, topology.session_len);
  assets.max_sequence_tokens = static_cast<std::uint32_t>(tokens);
  assets.info.context_length = assets.max_sequence_tokens;
  assets.info.kv_bytes_per_token = block_bytes / assets.block_tokens;
  assets.info.kv_tokens = blocks * assets.block_tokens;
  return {};
}

namespace {

Result<void> size_cache_for(const topology::Topology& topology, const model::ModelShape& shape, Assets& assets) {
  const std::uint32_t block_tokens = topology.cache.block_tokens;
  const kernels::KvFormat& format = topology.cache.format;
  std::uint64_t block_bytes = 0;
  std::uint64_t plain_bytes = 0;
  try {
    plain_bytes = assets.architecture->kv_block_bytes(block_tokens, {});
    block_bytes = assets.architecture->kv_block_bytes(block_tokens, format);
  } catch (const std::invalid_argument& error) {
    return Error{ErrorCode::invalid_model, topology.model.path + ": " + error.what(), "quant_policy"};
  }
  assets.info.quant_policy = kernels::quant_policy(format);
  assets.info.kv_factor = static_cast<double>(plain_bytes) / static_cast<double>(block_bytes);
  return size_cache(topology, block_bytes, usable_memory(), shape.context_length, assets);
}

}  // namespace

Result<std::shared_ptr<const Assets>> load_assets(const topology::Topology& topology) {
  auto file = model::GgufFile::open(topology.model.path);
  if (!file) return file.error();
  const auto shape = model::Architecture::shape_of(**file);
  if (!shape) return shape.error();

  auto assets = std::make_shared<Assets>();
  auto tokenizer = model::Tokenizer::load(**file);
  if (!tokenizer) return tokenizer.error();
  assets->tokenizer = *tokenizer;
  if (assets->tokenizer->vocab_size() != shape->vocab_size) {
    return Error{ErrorCode::invalid_model,
                 topology.model.path + ": the vocabulary has " + std::to_string(assets->tokenizer->vocab_size()) +
                     " tokens and the embedding " + std::to_string(shape->vocab_size) + " rows; they must be equal",
                 ""};
  }
  auto chat_template = find_template(topology.model, **file);
  if (!chat_template) return chat_template.error();
  assets->chat_template = *chat_template;

  const auto backend = kernels::make_cpu_backend(compute_threads(topology), precision(topology));
  assets->compute = backend->numerics();
  auto architecture = model::Architecture::load(*file, backend);
  if (!architecture) return architecture.error();
  assets->architecture = std::move(*architecture);
  assets->model_digest = (*file)->digest();
  (*file)->release_pages();  // the weights have been copied into the layout that is computed with
  assets->clock = [] { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); };

  assets->info.name = served_name(topology.model);
  assets->info.path = topology.model.path;
  assets->info.architecture = shape->architecture;
  if (assets->chat_template != nullptr) assets->info.chat_template = assets->chat_template->name();
  assets->info.vocab_size = shape->vocab_size;
  assets->info.parameters = shape->parameters;
  if (auto sized = size_cache_for(topology, *shape, *assets); !sized) return sized.error();
  return std::shared_ptr<const Assets>(std::move(assets));
}

}  // namespace headwater::actors
