#pragma once
// What this machine can do at most, measured on the spot: what a kernel's figure is to be held against.

#include <cstddef>

#include "kernels/cpu/thread_pool.h"

namespace headwater::bench {

/// Bytes per second of a plain loop that reads `bytes` of memory again and again, by all threads together.
double read_rate(std::size_t bytes, kernels::cpu::ThreadPool& pool);
/// Operations (two for each multiply-add) per second of float32 in the widest vectors.
double vector_rate(kernels::cpu::ThreadPool& pool);
/// Operations per second of bfloat16 in the widest vectors; 0 without AVX512_BF16.
double bf16_rate(kernels::cpu::ThreadPool& pool);
/// Operations per second of bfloat16 tiles; 0 without AMX.
double tile_rate(kernels::cpu::ThreadPool& pool);

}  // namespace headwater::bench
