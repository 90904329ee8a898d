#include "tools/bench/kernels/limits.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <new>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/tile_config.h"

namespace headwater::bench {
namespace {

using kernels::cpu::cpu_features;
using kernels::cpu::ThreadPool;

/// The best of several runs of `work` by every thread: others may be busy on this machine.
template <class Work>
double best_seconds(ThreadPool& pool, std::size_t tasks, const Work& work) {
  double best = 1e9;
  for (int run = 0; run < 20; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(tasks, work);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

constexpr int kRounds = 20'000;

[[gnu::target("avx512f")]] void multiply_add_512() {
  __m512 sums[16] = {};
  const __m512 x = _mm512_set1_ps(0.5F);
  for (int i = 0; i < kRounds; ++i) {
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(sum, x, x);
      asm volatile("" : "+v"(sum));
    }
  }
}
[[gnu::target("avx2,fma")]] void multiply_add_256() {
  __m256 sums[12] = {};
  const __m256 x = _mm256_set1_ps(0.5F);
  for (int i = 0; i < kRounds; ++i) {
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(sum, x, x);
      asm volatile("" : "+x"(sum));
    }
  }
}

[[gnu::target("avx512f,avx512bf16")]] void multiply_add_bf16() {
  __m512 sums[16] = {};
  const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F00));
  for (int i = 0; i < kRounds; ++i) {
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, x, x);
      asm volatile("" : "+v"(sum));
    }
  }
}

[[gnu::target("amx-tile,amx-bf16")]] void multiply_tiles() {
  kernels::cpu::load_tile_config(kernels::cpu::kWholeTiles);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (int i = 0; i < kRounds; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
}

[[gnu::target("avx2")]] void read_all(const std::byte* memory, std::size_t bytes) {
  __m256i all = _mm256_setzero_si256();
  for (std::size_t i = 0; i + 128 <= bytes; i += 128) {
    for (std::size_t k = 0; k < 128; k += 32) {
      all = _mm256_or_si256(all, _mm256_load_si256(reinterpret_cast<const __m256i*>(memory + i + k)));
    }
  }
  asm volatile("" ::"x"(all));
}

}  // namespace

double read_rate(std::size_t bytes, ThreadPool& pool) {
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  madvise(map, bytes, MADV_HUGEPAGE);
  auto* memory = static_cast<std::byte*>(map);
  std::fill_n(memory, bytes, std::byte{1});
  constexpr std::size_t kPiece = 1 << 18;
  const std::size_t pieces = std::max<std::size_t>(1, bytes / kPiece);
  const double seconds =
      best_seconds(pool, pieces, [&](std::size_t i) { read_all(memory + i * kPiece, std::min(kPiece, bytes)); });
  munmap(map, bytes);
  return static_cast<double>(std::min(bytes, pieces * kPiece)) / seconds;
}

double vector_rate(ThreadPool& pool) {
  const auto threads = pool.size();
  const double per_round = cpu_features().avx512 ? 16 * 16 * 2 : 12 * 8 * 2;
  const double seconds =
      best_seconds(pool, threads, [](std::size_t) { cpu_features().avx512 ? multiply_add_512() : multiply_add_256(); });
  return threads * kRounds * per_round / seconds;
}

double bf16_rate(ThreadPool& pool) {
  if (!cpu_features().avx512_bf16) return 0;
  const double seconds = best_seconds(pool, pool.size(), [](std::size_t) { multiply_add_bf16(); });
  return pool.size() * 16.0 * kRounds * 32 * 2 / seconds;
}

double tile_rate(ThreadPool& pool) {
  if (!cpu_features().amx) return 0;
  const double seconds = best_seconds(pool, pool.size(), [](std::size_t) { multiply_tiles(); });
  return pool.size() * 4.0 * kRounds * 16 * 16 * 32 * 2 / seconds;
}

}  // namespace headwater::bench
