#pragma once
// Makes maps of keys and queries out of what a forward pass computes, layer after layer.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/kv_maps.h"
#include "model/kv_statistics.h"
#include "model/rotary_means.h"
#include "model/sha256.h"

namespace headwater::model {

/// What a model does to its keys.
struct KvLearning {
  KvSizes sizes;
  std::uint32_t n_heads = 0;               ///< of queries
  std::vector<RotaryTable> ropes;          ///< not empty
  std::vector<std::uint32_t> layer_ropes;  ///< [n_layers]: which of them
  std::uint32_t n_positions = 1;           ///< keys and queries are taken to be met at the first so many equally often
  bool centred = true;                     ///< something may be taken from all keys
};

/// Two of one digest learn the same from the same numbers.
Sha256Digest digest_of(const KvLearning& learning);

/// One sequence from its beginning. The work is shared by the threads that compute, and the result does not depend on
/// how many they are.
class KvLearner {
 public:
  /// host: outlives this.
  KvLearner(KvLearning learning, kernels::Backend& host);

  /// qkv: [n_rows][n_heads + 2 * n_kv_heads, head_dim], as they are before rotary embedding. Each layer once, in order.
  /// Throws std::bad_alloc.
  void add_layer(std::span<const float> qkv, std::uint32_t n_rows);

  /// REQUIRES: all layers were added. Throws std::bad_alloc.
  LearntKvMaps finish();

 private:
  /// Runs work(0) … work(n - 1) on the threads that compute; it may run out of memory.
  void run(std::size_t n, const std::function<void(std::size_t)>& work);
  void finish_head(std::size_t head, LearntKvMaps& learnt);

  KvLearning learning_;
  kernels::Backend& host_;
  std::vector<RotaryMeans> means_;     ///< of each rope
  std::vector<HeadStatistics> heads_;  ///< of the layers so far
};

}  // namespace headwater::model
