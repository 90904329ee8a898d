// Products with quantised weights, in the shapes of SmolLM2-135M: bandwidth for a row, operations for many.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/quantized_matrix.h"
#include "tools/bench/kernels/limits.h"

namespace headwater::bench {
namespace {

using kernels::DType;
using kernels::HostTensor;
using namespace kernels::cpu;  // NOLINT

ThreadPool& pool() {
  static ThreadPool threads(std::max(1U, std::thread::hardware_concurrency()));
  return threads;
}

/// As many copies of a matrix as a model has layers: what one step reads does not stay in a cache for the next.
class Layers {
 public:
  Layers(DType type, std::uint64_t rows, std::uint64_t cols, std::size_t n, QuantizedMatrix::Use use) {
    std::mt19937 random(1);
    std::vector<std::byte> blocks(rows * cols / kernels::block_values(type) * kernels::block_bytes(type));
    for (std::byte& byte : blocks) byte = static_cast<std::byte>(random());
    constexpr std::uint16_t kScale = 0x2000;  // 1/128 in 16 bits
    const std::size_t scales = type == DType::q4_1 ? 2 : 1;
    for (std::size_t i = 0; i < blocks.size(); i += kernels::block_bytes(type)) {
      for (std::size_t k = 0; k < scales; ++k) std::memcpy(&blocks[i + 2 * k], &kScale, sizeof kScale);
    }
    const HostTensor tensor{blocks.data(), type, rows, cols};
    for (std::size_t i = 0; i < n; ++i) {
      matrices_.push_back(std::make_unique<QuantizedMatrix>(std::span(&tensor, 1), use, memory_, pool()));
    }
    bytes_ = blocks.size() * n;
  }
  void multiply(const std::vector<float>& x, std::size_t rows, bool gated, std::vector<float>& out) {
    for (const auto& matrix : matrices_) {
      gated ? matrix->multiply_gated(x.data(), rows, out.data(), rounded_, pool())
            : matrix->multiply(x.data(), rows, out.data(), rounded_, pool());
    }
  }
  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return matrices_.size(); }

 private:
  WeightMemory memory_;
  Activations rounded_;
  std::vector<std::unique_ptr<QuantizedMatrix>> matrices_;
  std::size_t bytes_ = 0;
};

/// state.range(0) rows through all layers.
void product(benchmark::State& state, DType type, std::size_t columns, std::size_t k, std::size_t layers, bool gated) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  Layers weights(type, columns, k, layers, gated ? QuantizedMatrix::Use::gated : QuantizedMatrix::Use::linear);
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
BENCHMARK_CAPTURE(product, qkv, DType::q4_1, 960, 576, 30, false)->Apply(rows);
BENCHMARK_CAPTURE(product, attention_out, DType::q4_1, 576, 576, 30, false)->Apply(rows);
BENCHMARK_CAPTURE(product, gate_up, DType::q4_1, 3072, 576, 30, true)->Apply(rows);
BENCHMARK_CAPTURE(product, down, DType::q4_1, 576, 1536, 30, false)->Apply(rows);
BENCHMARK_CAPTURE(product, logits, DType::q8_0, 49152, 576, 1, false)
    ->Arg(1)
    ->Arg(8)
    ->Arg(48)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace headwater::bench
