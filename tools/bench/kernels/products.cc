// Products with quantised weights: bandwidth for a row, operations for many. In the shapes of SmolLM2-135M, and, for
// what the types cost beside each other, of Qwen2.5-1.5B.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/compute_cpus.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/quantized_matrix.h"
#include "kernels/weight_group.h"
#include "tools/bench/kernels/limits.h"

namespace headwater::bench {
namespace {

using kernels::DType;
using kernels::HostTensor;
using namespace kernels::cpu;  // NOLINT

ThreadPool& pool() {
  static ThreadPool threads(kernels::own_compute_cpus().threads);
  return threads;
}

/// Rows of a matrix that have one type.
struct Part {
  DType type;
  std::uint64_t rows;
};
using Parts = std::vector<Part>;

/// Random codes, and scales of 1/128.
std::vector<std::byte> random_blocks(const Part& part, std::uint64_t cols) {
  std::mt19937 random(1);
  std::vector<std::byte> blocks(part.rows * kernels::row_bytes(part.type, cols));
  for (std::byte& byte : blocks) byte = static_cast<std::byte>(random());
  constexpr std::uint16_t kScale = 0x2000;
  const kernels::ScaleBytes place = kernels::scale_bytes(part.type);
  const std::size_t first = part.type == DType::q6_k ? place.first + place.size - 2 : place.first;
  const std::size_t scales = kernels::group_format(part.type).has_minimum ? 2 : 1;
  for (std::size_t i = 0; i < blocks.size(); i += kernels::block_bytes(part.type)) {
    for (std::size_t k = 0; k < scales; ++k) std::memcpy(&blocks[i + first + 2 * k], &kScale, sizeof kScale);
  }
  return blocks;
}

/// As many copies of a matrix as a model has layers: what one step reads does not stay in a cache for the next.
class Layers {
 public:
  Layers(const Parts& parts, std::uint64_t cols, std::size_t n, QuantizedMatrix::Use use, Rounding rounding) {
    std::vector<std::vector<std::byte>> blocks;
    std::vector<HostTensor> tensors;
    for (const Part& part : parts) {
      blocks.push_back(random_blocks(part, cols));
      tensors.push_back({blocks.back().data(), part.type, part.rows, cols});
    }
    for (std::size_t i = 0; i < n; ++i) {
      matrices_.push_back(std::make_unique<QuantizedMatrix>(tensors, use, memory_, pool(), rounding));
      bytes_ += matrices_.back()->range().bytes();
    }
  }
  void multiply(const std::vector<float>& x, std::size_t rows, bool gated, std::vector<float>& out) {
    for (const auto& matrix : matrices_) {
      gated ? matrix->multiply_gated(x.data(), rows, kernels::Activation::silu, out.data(), rounded_, pool())
            : matrix->multiply(x.data(), rows, out.data(), rounded_, pool());
    }
  }
  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return matrices_.size(); }

 private:
  WeightMemory memory_;
  RoundedInputs rounded_;
  std::vector<std::unique_ptr<QuantizedMatrix>> matrices_;
  std::size_t bytes_ = 0;
};

/// state.range(0) rows through all layers.
void product(benchmark::State& state, const Parts& parts, std::size_t k, std::size_t layers, bool gated,
             Rounding rounding = Rounding::rows) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  std::size_t columns = 0;
  for (const Part& part : parts) columns += part.rows;
  Layers weights(parts, k, layers, gated ? QuantizedMatrix::Use::gated : QuantizedMatrix::Use::linear, rounding);
  std::vector<float> x(rows * k);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) * 0.01F - 0.5F;
  std::vector<float> out(rows * columns);
  double best = 1e9;  // the quickest iteration: others may be busy on this machine
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    weights.multiply(x, rows, gated, out);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double operations = 2.0 * static_cast<double>(rows * columns * k * layers);
  static const double tiles = tile_rate(pool());
  state.counters["us_a_layer"] = best * 1e6 / static_cast<double>(layers);
  state.counters["GB/s"] = static_cast<double>(weights.bytes()) / best / 1e9;
  state.counters["of_bandwidth"] = static_cast<double>(weights.bytes()) / best / read_rate(weights.bytes(), pool());
  state.counters["GOP/s"] = operations / best / 1e9;
  // Four 8-bit tile products, each at twice the rate of bfloat16, make one product of 16-bit numbers.
  if (tiles > 0) state.counters["of_tiles"] = operations / best / (tiles / 2);
}

void rows(benchmark::internal::Benchmark* bench) {
  for (const int n : {1, 2, 4, 8, 16, 48, 128, 224, 512}) bench->Arg(n);
  bench->UseRealTime()->Unit(benchmark::kMillisecond);
}
const Parts kQkv = {{DType::q4_1, 960}};
const Parts kAttentionOut = {{DType::q4_1, 576}};
const Parts kGateUp = {{DType::q4_1, 3072}};
const Parts kLogits = {{DType::q8_0, 49152}};
BENCHMARK_CAPTURE(product, qkv, kQkv, 576, 30, false)->Apply(rows);
BENCHMARK_CAPTURE(product, attention_out, kAttentionOut, 576, 30, false)->Apply(rows);
BENCHMARK_CAPTURE(product, gate_up, kGateUp, 576, 30, true)->Apply(rows);
BENCHMARK_CAPTURE(product, down, kAttentionOut, 1536, 30, false)->Apply(rows);
BENCHMARK_CAPTURE(product, logits, kLogits, 576, 1, false)
    ->Arg(1)
    ->Arg(8)
    ->Arg(48)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void types(benchmark::internal::Benchmark* bench) {
  for (const int n : {1, 8, 512}) bench->Arg(n);
  bench->UseRealTime()->Unit(benchmark::kMillisecond);
}
const Parts kDownQ4K = {{DType::q4_k, 1536}};
const Parts kDownQ5K = {{DType::q5_k, 1536}};
const Parts kDownQ6K = {{DType::q6_k, 1536}};
const Parts kDownQ8 = {{DType::q8_0, 1536}};
BENCHMARK_CAPTURE(product, down_q4_k, kDownQ4K, 8960, 8, false)->Apply(types);
BENCHMARK_CAPTURE(product, down_q5_k, kDownQ5K, 8960, 8, false)->Apply(types);
BENCHMARK_CAPTURE(product, down_q6_k, kDownQ6K, 8960, 8, false)->Apply(types);
BENCHMARK_CAPTURE(product, down_q8_0, kDownQ8, 8960, 8, false)->Apply(types);
const Parts kGateUpQ4K = {{DType::q4_k, 17920}};
BENCHMARK_CAPTURE(product, gate_up_q4_k, kGateUpQ4K, 1536, 4, true)->Apply(types);
BENCHMARK_CAPTURE(product, gate_up_q4_k_groups, kGateUpQ4K, 1536, 4, true, Rounding::groups)->Apply(types);
BENCHMARK_CAPTURE(product, down_q4_k_groups, kDownQ4K, 8960, 8, false, Rounding::groups)->Apply(types);
BENCHMARK_CAPTURE(product, down_q6_k_groups, kDownQ6K, 8960, 8, false, Rounding::groups)->Apply(types);
const Parts kQkvQ4K = {{DType::q4_k, 2048}};
const Parts kQkvMixed = {{DType::q4_k, 1792}, {DType::q6_k, 256}};
BENCHMARK_CAPTURE(product, qkv_q4_k, kQkvQ4K, 1536, 28, false)->Apply(types);
BENCHMARK_CAPTURE(product, qkv_q4_k_q6_k, kQkvMixed, 1536, 28, false)->Apply(types);

}  // namespace
}  // namespace headwater::bench
