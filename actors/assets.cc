#include "actors/assets.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "actors/cache_controls.h"
#include "actors/memory_plan.h"
#include "kernels/backend.h"
#include "kernels/compute_cpus.h"
#include "kernels/memory_limits.h"
#include "kernels/processor.h"
#include "model/decoder.h"
#include "model/file_digest.h"
#include "model/gguf_split.h"
#include "model/kv_maps.h"
#include "model/model_fit.h"
#include "model/sampling_defaults.h"
#include "model/served_model.h"
#include "model/weight_memory.h"

namespace headwater::actors {
namespace {

std::string served_name(const topology::ModelSpec& spec) {
  if (!spec.name.empty()) return spec.name;
  std::error_code failed;
  const auto path = std::filesystem::canonical(spec.path, failed);
  return model::without_part((failed ? std::filesystem::path(spec.path) : path).stem().string());
}

model::ModelChoices model_choices(const topology::Topology& topology) {
  return {topology.model.pre_tokenizer, topology.model.chat_template, topology.session_len};
}

/// An argument of the stage of that kind, if it has one of that name: another implementation may not.
template <class Value>
std::optional<Value> argument(const topology::Topology& topology, std::string_view kind, const std::string& name) {
  const topology::Stage* stage = topology.find_kind(kind);
  if (stage == nullptr) return std::nullopt;
  const auto found = stage->args.find(name);
  return found == stage->args.end() ? std::nullopt : std::optional(std::get<Value>(found->second));
}

kernels::Precision precision(const topology::Topology& topology) {
  const auto named = argument<std::string>(topology, "executor", "precision");
  return kernels::parse_precision(named.value_or("")).value_or(kernels::Precision::fast);
}

/// Threads that the topology asks for; 0: as many as pay here.
std::uint32_t asked_threads(const topology::Topology& topology) {
  const std::int64_t threads = argument<std::int64_t>(topology, "executor", "threads").value_or(topology.threads);
  return threads > 0 ? static_cast<std::uint32_t>(threads) : topology.threads;
}

/// Threads that a server of this topology has, beside the first: those that compute, OpenMP's, which are as many, and
/// of actors, sockets and disks.
std::uint32_t n_threads(const topology::Topology& topology) {
  constexpr std::uint32_t kOthers = 10;
  constexpr std::uint32_t kOfTier = 8;
  const std::uint32_t compute = kernels::own_compute_cpus().resolve(asked_threads(topology));
  return 2 * (compute - 1) + kOthers + (topology.find_kind("cache_tier") != nullptr ? kOfTier : 0);
}

/// What the system reserves for the stack of a thread by default.
constexpr std::uint64_t kStackBytes = std::uint64_t{8} << 20U;
/// Blocks that are saved at a time (TierBooks); those loaded are a quarter of the pool.
constexpr std::uint64_t kMostSavedBytes = std::uint64_t{256} << 20U;

/// Rows of the largest step.
std::uint64_t step_tokens(const topology::Topology& topology) {
  return static_cast<std::uint64_t>(argument<std::int64_t>(topology, "scheduler", "max_step_tokens").value_or(512));
}

/// Activations of the largest step, of which the feed-forward layer's take most, and logits; and what the process
/// takes besides: the tokenizer, requests, sockets.
std::uint64_t work_bytes(const topology::Topology& topology, const model::ModelShape& shape) {
  constexpr std::uint64_t kProcess = std::uint64_t{48} << 20U;
  constexpr std::uint64_t kWidth = 16;  ///< values of a row in all buffers, in times of the embedding's
  const std::uint64_t rows = step_tokens(topology);
  const auto sequences =
      static_cast<std::uint64_t>(argument<std::int64_t>(topology, "scheduler", "max_batch_size").value_or(48));
  return kProcess + sizeof(float) * (rows * kWidth * shape.embedding_dim + sequences * shape.vocab_size);
}

/// Of one sequence that has so many blocks. They may be more than positions are counted for.
std::uint64_t tokens_in(std::uint64_t blocks, const kernels::BlockGrid& grid) {
  return blocks == 0 ? 0 : blocks * grid.tokens - grid.missing;
}

}  // namespace

std::vector<TokenId> end_tokens(const model::Tokenizer& tokenizer) {
  std::vector<TokenId> ends;
  for (TokenId id = 0; tokenizer.valid(id); ++id) {
    if (tokenizer.is_end(id)) ends.push_back(id);
  }
  return ends;
}

Result<void> size_cache(const topology::Topology& topology, const kernels::KvBlockBytes& block_bytes,
                        const model::ModelShape& shape, std::uint64_t memory, Assets& assets) {
  constexpr std::uint64_t kMostBlocks = 1U << 24U;
  const std::uint64_t bytes = topology::resolve(topology.cache.size_limit, memory);
  assets.window = {shape.kv_window, block_bytes.full, block_bytes.windowed, bytes};
  assets.grid = kernels::block_grid(topology.cache.format, topology.cache.block_tokens);
  const std::uint64_t blocks =
      std::min(cache::pool_blocks(assets.window, assets.grid, step_tokens(topology)), kMostBlocks);
  if (blocks == 0) {
    return Error{ErrorCode::cache_too_small,
                 "cache_size_limit gives " + std::to_string(bytes) + " bytes, and one block of " +
                     std::to_string(topology.cache.block_tokens) + " tokens takes " +
                     std::to_string(block_bytes.total()) + "; raise it",
                 "cache_size_limit"};
  }
  assets.block_bytes = block_bytes.total();
  assets.total_blocks = static_cast<std::uint32_t>(blocks);
  // What is pinned is there for nobody else.
  const std::uint64_t free_to_serve = blocks - blocks_of(topology.cache.max_pinned, assets.total_blocks);
  std::uint64_t tokens = std::min<std::uint64_t>(shape.context_length, tokens_in(free_to_serve, assets.grid));
  if (topology.session_len > tokens) {
    spdlog::warn("session_len is {}, and sequences end at {} tokens: {}", topology.session_len, tokens,
                 tokens == shape.context_length
                     ? "that is the model's context"
                     : "the cache holds no more beside what may be pinned; raise cache_size_limit");
  }
  if (topology.session_len > 0) tokens = std::min<std::uint64_t>(tokens, topology.session_len);
  assets.max_sequence_tokens = static_cast<std::uint32_t>(tokens);
  assets.info.context_length = assets.max_sequence_tokens;
  assets.info.kv_tokens = tokens_in(blocks, assets.grid);
  assets.info.kv_window = shape.kv_window;
  // Where layers have windows, blocks have more or less.
  assets.info.kv_bytes_per_token =
      shape.kv_window > 0 ? bytes / assets.info.kv_tokens : block_bytes.total() / assets.grid.tokens;
  return {};
}

namespace {

/// The sizes, held against the memory there is: nothing large is allocated before.
Result<void> size_cache_for(const topology::Topology& topology, const model::GgufFile& file,
                            const model::ModelShape& shape, const kernels::Backend& backend, Assets& assets) {
  const kernels::KvFormat& format = topology.cache.format;
  kernels::KvGeometry kv{shape.kv_layers, topology.cache.block_tokens, {}};
  kernels::KvBlockBytes block_bytes;
  std::uint64_t plain_bytes = 0;
  try {
    plain_bytes = backend.kv_block_bytes(kv).total();
    kv.format = format;
    block_bytes = backend.kv_block_bytes(kv);
  } catch (const std::invalid_argument& error) {
    return Error{ErrorCode::invalid_model, topology.model.path + ": " + error.what(), "quant_policy"};
  }
  assets.info.quant_policy = kernels::quant_policy(format);
  assets.info.kv_factor = static_cast<double>(plain_bytes) / static_cast<double>(block_bytes.total());
  const std::vector<kernels::MemoryLimit> limits = kernels::memory_limits();
  if (auto fits = model::check_weight_memory(file, backend, limits); !fits) return fits;
  const std::uint64_t available = kernels::least_available(limits).available;
  if (auto sized = size_cache(topology, block_bytes, shape, available, assets); !sized) return sized;
  MemoryPlan plan;
  plan.weights = model::Architecture::weight_bytes(file, backend);
  const std::uint64_t addresses = block_bytes.total() * assets.total_blocks;
  plan.cache = std::min(addresses, assets.window.pool_bytes);
  plan.unused_addresses = addresses - plan.cache;
  if (topology.find_kind("cache_tier") != nullptr) plan.tier = std::min(plan.cache, kMostSavedBytes) + plan.cache / 4;
  plan.work = work_bytes(topology, shape);
  if (format.quantised()) plan.work += model::kv_maps_bytes({shape.n_layers, shape.n_kv_heads, shape.head_dim});
  plan.stacks = kStackBytes * n_threads(topology);
  return check_memory(plan, limits);
}

void tell_threads(std::uint32_t asked) {
  const kernels::ComputeCpus& cpus = kernels::own_compute_cpus();
  spdlog::info("computing with {}", cpus.describe(asked));
  if (const std::string warning = cpus.warning(asked); !warning.empty()) spdlog::warn("{}", warning);
}

/// One line for each of a few, since all layers tend to have the same.
void warn_of_fallbacks(const model::GgufFile& file, const kernels::Backend& backend) {
  constexpr std::size_t kMost = 4;
  const std::vector<std::string> found = model::fallbacks(file, backend);
  for (std::size_t i = 0; i < std::min(found.size(), kMost); ++i) spdlog::warn("{}: {}", file.path(), found[i]);
  if (found.size() > kMost) {
    spdlog::warn("{}: and {} more matrices; headwater model info counts them", file.path(), found.size() - kMost);
  }
}

}  // namespace

Result<std::shared_ptr<const Assets>> load_assets(const topology::Topology& topology) {
  if (const std::string wrong = kernels::wrong_processor(); !wrong.empty()) {
    return Error{ErrorCode::invalid_options, wrong, ""};
  }
  auto file = model::GgufFile::open(topology.model.path);
  if (!file) return file.error();
  const auto served = model::read_served_model(**file, model_choices(topology));
  if (!served) return served.error();
  const model::ModelShape* shape = &served->shape;
  if (!served->no_chat.empty()) spdlog::warn("{}: no chat is served: {}", (*file)->path(), served->no_chat);
  if (auto enough = check_threads(n_threads(topology)); !enough) return enough.error();
  tell_threads(asked_threads(topology));
  model::FileDigest digest_of_file(*file);

  auto assets = std::make_shared<Assets>();
  assets->tokenizer = served->tokenizer;
  assets->chat_template = served->chat_template;

  const auto backend = kernels::make_cpu_backend(asked_threads(topology), precision(topology));
  if (auto sized = size_cache_for(topology, **file, *shape, *backend, *assets); !sized) return sized.error();
  const model::Tell tell = [](bool warning, const std::string& sentence) {
    spdlog::log(warning ? spdlog::level::warn : spdlog::level::info, "{}", sentence);
  };
  auto architecture = model::load_decoder(*file, backend, topology.session_len, tell);  // all else is checked
  if (!architecture) return architecture.error();
  assets->architecture = std::move(*architecture);
  warn_of_fallbacks(**file, *backend);
  assets->compute = assets->architecture->numerics(topology.cache.format);
  assets->architecture->settle();
  auto digest = digest_of_file.get();
  if (!digest) return digest.error();
  assets->model_digest = *digest;
  if (auto same = (*file)->unchanged(); !same) return same.error();
  assets->clock = [] { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); };

  assets->info.name = served_name(topology.model);
  assets->info.path = topology.model.path;
  assets->info.architecture = shape->architecture;
  if (assets->chat_template != nullptr) assets->info.chat_template = assets->chat_template->name();
  assets->info.vocab_size = shape->vocab_size;
  assets->info.parameters = shape->parameters;
  auto sampling = model::sampling_defaults(**file);
  for (const std::string& warning : sampling.warnings) spdlog::warn("{}", warning);
  assets->info.sampling = std::move(sampling.params);
  return std::shared_ptr<const Assets>(std::move(assets));
}

}  // namespace headwater::actors
