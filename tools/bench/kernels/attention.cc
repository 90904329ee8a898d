// Attention as a model of 30 layers with 9 query and 3 KV heads of 64 has it.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/compute_cpus.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/rope.h"
#include "tools/bench/kernels/limits.h"

namespace headwater::bench {
namespace {

using kernels::AttentionShape;
using kernels::KvGeometry;
using kernels::KvLayer;
using kernels::SequenceRows;
using namespace kernels::cpu;  // NOLINT

constexpr std::uint32_t kLayers = 30;
constexpr std::uint32_t kHeads = 9;
constexpr std::uint32_t kBlockTokens = 32;

KvGeometry geometry_for(const char* policy) {
  return {std::vector<KvLayer>(kLayers, {3, 64}), kBlockTokens, *kernels::parse_quant_policy(policy)};
}

ThreadPool& pool() {
  static ThreadPool threads(kernels::own_compute_cpus().threads);
  return threads;
}

/// Sequences of `length` tokens in an arena, of which the last `n_rows` are computed.
class Case {
 public:
  Case(std::uint32_t n_sequences, std::uint32_t length, std::uint32_t n_rows, const char* policy = "0")
      : geometry_(geometry_for(policy)),
        n_rows_(n_rows * n_sequences),
        qkv_(std::size_t{n_rows_} * (kHeads + 6) * 64),
        out_(n_rows_ * kHeads * 64) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (float& x : qkv_) x = uniform(random);
    const std::uint32_t blocks = geometry_.grid().covering(length);
    arena_ = KvArena(geometry_, n_sequences * blocks);
    tables_.resize(n_sequences);
    for (std::uint32_t s = 0; s < n_sequences; ++s) {
      for (std::uint32_t b = 0; b < blocks; ++b) tables_[s].push_back(static_cast<std::int32_t>(b * n_sequences + s));
      sequences_.push_back({s * n_rows, n_rows, length - n_rows, tables_[s]});
      fill(length, tables_[s]);
    }
  }

  void attend(Attention& attention, std::uint32_t layer) {
    attention.run(arena_, {layer, kHeads, 3, 64, 64}, sequences_, qkv_.data(), out_.data(), pool());
  }
  void store(Rotary& rotary, std::uint32_t layer) {
    rotary.rotate_and_store(arena_, {layer, kHeads, 3, 64, 64}, sequences_, qkv_.data(), pool());
  }

  Attention attention(AttentionPath path) const { return Attention(path, geometry_.format); }

 private:
  /// Stores random keys and values.
  void fill(std::uint32_t length, std::span<const std::int32_t> table) {
    constexpr std::uint32_t kRows = 64;
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<float> rows(std::size_t{kRows} * (kHeads + 6) * 64);
    for (float& x : rows) x = normal(random);
    Rotary rotary;
    for (std::uint32_t at = 0; at < length; at += kRows) {
      const SequenceRows part{0, std::min(kRows, length - at), at, table};
      for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
        std::vector<float> copy = rows;
        rotary.rotate_and_store(arena_, {layer, kHeads, 3, 64, 0}, {&part, 1}, copy.data(), pool());
      }
    }
  }

  KvGeometry geometry_;
  std::uint32_t n_rows_;
  std::vector<float> qkv_, out_;
  KvArena arena_;
  std::vector<std::vector<std::int32_t>> tables_;
  std::vector<SequenceRows> sequences_;
};

bool skip_without(benchmark::State& state, AttentionPath path) {
  if (lacking(path).empty()) return false;
  state.SkipWithError("this machine does not have it");
  return true;
}

/// Seconds of the quickest iteration: others may be busy on this machine.
template <class Work>
double best_seconds(benchmark::State& state, const Work& work) {
  double best = 1e9;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  state.counters["best_us"] = best * 1e6;
  return best;
}

/// Operations per second that this machine can do at most, of the kind that a path does.
double limit(AttentionPath path, std::string_view policy) {
  static const double tiles = tile_rate(pool());
  static const double pairs = bf16_rate(pool());
  static const double vectors = vector_rate(pool());
  if (path == AttentionPath::amx) return tiles;
  return path == AttentionPath::bf16 && policy == "0" ? pairs : vectors;
}

/// A prompt of state.range(0) tokens, one layer.
void prefill(benchmark::State& state, AttentionPath path, const char* policy) {
  if (skip_without(state, path)) return;
  const auto n = static_cast<std::uint32_t>(state.range(0));
  Case prompt(1, n, n, policy);
  Attention attention = prompt.attention(path);
  const double seconds = best_seconds(state, [&] { prompt.attend(attention, 0); });
  const double operations = 4.0 * 64 * kHeads * n * (n + 1) / 2;
  state.counters["GFLOP/s"] = operations / seconds / 1e9;
  state.counters["of_limit"] = operations / seconds / limit(path, policy);
}

/// One new token for each of state.range(0) sequences of state.range(1) tokens, all layers.
void decode(benchmark::State& state, AttentionPath path, const char* policy) {
  if (skip_without(state, path)) return;
  const auto n = static_cast<std::uint32_t>(state.range(0));
  const auto length = static_cast<std::uint32_t>(state.range(1));
  Case step(n, length, 1, policy);
  Attention attention = step.attention(path);
  const double seconds = best_seconds(state, [&] {
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) step.attend(attention, layer);
  });
  const double bytes = double(n) * length * double(KvArena::block_bytes(geometry_for(policy)).total()) / kBlockTokens;
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["of_limit"] = bytes / seconds / read_rate(static_cast<std::size_t>(bytes), pool());
}

/// Rotating and storing one row for each of state.range(0) sequences, one layer.
void rope(benchmark::State& state) {
  Case step(static_cast<std::uint32_t>(state.range(0)), 512, 1);
  Rotary rotary;
  const std::vector<float> frequencies(32, 0.1F);
  rotary.set(0, frequencies);
  best_seconds(state, [&] { step.store(rotary, 0); });
}

void each_format(const char* phase, const char* name, AttentionPath path,
                 void (*run)(benchmark::State&, AttentionPath, const char*),
                 const std::vector<std::vector<std::int64_t>>& arguments) {
  for (const char* policy : {"0", "8", "4", "k8v4"}) {
    const std::string title = std::string(phase) + "/" + name + "/kv" + policy;
    auto* bench = benchmark::RegisterBenchmark(title.c_str(), run, path, policy);
    for (const auto& values : arguments) bench->Args(values);
    bench->UseRealTime()->Unit(benchmark::kMillisecond);
  }
}

const bool kRegistered = [] {
  for (const auto& [name, path] : {std::pair("amx", AttentionPath::amx),
                                   {"bf16", AttentionPath::bf16},
                                   {"vnni", AttentionPath::vnni},
                                   {"generic", AttentionPath::generic}}) {
    each_format("prefill", name, path, prefill, {{512}, {4096}});
    each_format("decode", name, path, decode, {{1, 4096}, {1, 8000}, {48, 200}});
  }
  return true;
}();
BENCHMARK(rope)->Arg(1)->Arg(48)->UseRealTime();

}  // namespace
}  // namespace headwater::bench
