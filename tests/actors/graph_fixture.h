#pragma once
// A runtime of real stages around the fake model.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/graph_runtime.h"
#include "tests/support/events.h"
#include "tests/support/fake_model.h"
#include "tests/support/greedy_request.h"
#include "tests/support/tiny_gguf.h"
#include "tests/support/wait_until.h"

namespace headwater::test {

struct GraphOptions {
  std::uint32_t total_blocks = 64;
  std::uint32_t block_tokens = 8;
  bool short_first_block = false;  ///< the first block of a sequence holds half
  std::uint32_t context = 256;
  std::string scheduler_args = "max_batch_size: 8, max_step_tokens: 64, prefill_chunk: 32";
  std::uint32_t tokenizers = 1;
  std::uint32_t detokenizers = 1;
  std::string gateway = "max_queued: 256";
  std::string tokenizer_to = "match";
  std::string extra_stage;  ///< a line of YAML
  bool prefix_caching = true;
  std::string policy = "lru";  ///< the evictor's
  std::string cache;           ///< more of that section: ", cache_ttl: 1h"
  std::function<TimeNs()> clock = [] {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
};

inline std::string graph_yaml(const GraphOptions& options) {
  return "name: test\n"
         "model: { path: unused.gguf }\n"
         "cache: { block_tokens: " +
         std::to_string(options.block_tokens) +
         ", enable_prefix_caching: " + (options.prefix_caching ? "true" : "false") + options.cache +
         " }\n"
         "stages:\n"
         "  - { id: tok, kind: tokenizer, replicas: " +
         std::to_string(options.tokenizers) + ", to: [" + options.tokenizer_to + "] }\n" + options.extra_stage +
         "  - { id: match, kind: prefix_matcher, to: [sched] }\n"
         "  - { id: sched, kind: scheduler, args: { " +
         options.scheduler_args +
         ", max_wait: 0 }, to: [exec] }\n"
         "  - { id: exec, kind: executor, to: [detok], feedback: [sched] }\n"
         "  - { id: evict, kind: cache_evictor, args: { policy: " +
         options.policy +
         " }, feedback: [sched, match] }\n"
         "  - { id: detok, kind: detokenizer, replicas: " +
         std::to_string(options.detokenizers) +
         ", to: [gateway] }\n"
         "gateway: { " +
         options.gateway + ", to: [tok] }\n";
}

class Graph {
 public:
  explicit Graph(const GraphOptions& options = {}, actors::StageRegistry registry = actors::builtin_stages()) {
    auto parsed = topology::parse(graph_yaml(options), "test.yaml", registry.catalog());
    if (!parsed.topology) throw std::runtime_error(parsed.report("test.yaml"));
    auto assets = std::make_shared<actors::Assets>();
    assets->tokenizer = tiny_tokenizer();
    kernels::KvFormat& format = parsed.topology->cache.format;
    if (options.short_first_block) {
      format.key_bits = format.value_bits = 4;
      format.first_in_8_bits = true;
    }
    assets->grid = kernels::block_grid(format, options.block_tokens);
    assets->total_blocks = options.total_blocks;
    assets->info.kv_tokens = assets->grid.begin(options.total_blocks);
    assets->max_sequence_tokens = std::min(options.context, assets->grid.begin(options.total_blocks));
    assets->clock = [passed = passed_, clock = options.clock] { return clock() + passed->load(); };
    model_ = std::make_shared<FakeModel>(assets->tokenizer->vocab_size(), options.context);
    assets->architecture = model_;
    assets->block_bytes = model_->kv_block_bytes(options.block_tokens, format).total();
    assets->window = {0, assets->block_bytes, 0, assets->block_bytes * options.total_blocks};
    total_blocks_ = options.total_blocks;
    auto started = actors::GraphRuntime::start(*parsed.topology, registry, assets);
    if (!started) throw std::runtime_error(started.error().message);
    runtime_ = std::move(*started);
  }

  actors::GraphRuntime& runtime() { return *runtime_; }
  FakeModel& model() { return *model_; }

  /// For the stages' clock.
  void let_pass(std::chrono::nanoseconds time) { passed_->fetch_add(time.count()); }

  /// Waits until nothing runs and gives the counters then.
  Stats idle_stats() {
    Stats stats;
    wait_until([&] {
      stats = runtime_->stats();
      return stats.in_flight == 0 && stats.running == 0 && stats.queued == 0 && stats.blocks_active == 0;
    });
    return stats;
  }

  /// Checks that, once idle, every block is free or cached and every request has ended.
  void expect_settled() {
    const Stats stats = idle_stats();
    EXPECT_EQ(stats.blocks_active, 0U);
    EXPECT_EQ(stats.blocks_free + stats.blocks_cached, total_blocks_);
    EXPECT_EQ(stats.accepted, stats.finished + stats.failed + stats.cancelled);
    EXPECT_EQ(stats.in_flight, 0U);
  }

  /// Ends a stage as a crash would.
  void kill(const std::string& id, std::uint32_t replica = 0) {
    for (const auto& stage : runtime_->stages()) {
      if (stage.id == id && stage.replica == replica) caf::anon_send_exit(stage.actor, caf::exit_reason::kill);
    }
  }

 private:
  static std::shared_ptr<const model::Tokenizer> tiny_tokenizer() {
    const auto path =
        std::filesystem::temp_directory_path() / ("headwater_graph_" + std::to_string(getpid()) + ".gguf");
    write_tiny_llama(path.string(), {});
    auto file = model::GgufFile::open(path.string());
    std::filesystem::remove(path);
    if (!file) throw std::runtime_error(file.error().message);
    auto tokenizer = model::Tokenizer::load(**file);
    if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
    return *tokenizer;
  }

  const std::shared_ptr<std::atomic<std::int64_t>> passed_ = std::make_shared<std::atomic<std::int64_t>>(0);
  std::shared_ptr<FakeModel> model_;
  std::uint32_t total_blocks_ = 0;
  std::unique_ptr<actors::GraphRuntime> runtime_;
};

/// A greedy request for `n` tokens after `prompt`.
inline Request ask(std::vector<TokenId> prompt, std::uint32_t n) { return greedy_request(std::move(prompt), n); }

/// `n` token ids that follow from `seed`.
inline std::vector<TokenId> prompt_of(std::uint32_t seed, std::size_t n) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < n; ++i) {
    seed = seed * 1664525U + 1013904223U;
    ids.push_back(static_cast<TokenId>((seed >> 16U) % 90));
  }
  return ids;
}

}  // namespace headwater::test
