#include "model/kv_learner.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "model/kv_balance.h"

namespace headwater::model {
namespace {

/// The first tokens of a sequence have keys like no others.
constexpr std::uint32_t kSkipped = 4;

/// Of what is met at many positions.
HeadSpread spread_of(const HeadStatistics& head, const RotaryMeans& means, bool centred) {
  const std::size_t dim = head.key_mean.size();
  HeadSpread spread;
  spread.centre = centred ? means.mean(head.key_mean) : std::vector<double>(dim);
  if (head.keys.empty()) return spread;
  spread.keys = means.second_moments(head.keys);
  for (std::size_t i = 0; i < dim; ++i) {
    for (std::size_t l = 0; l < dim; ++l) spread.keys[i * dim + l] -= spread.centre[i] * spread.centre[l];
  }
  spread.queries = means.second_moments(head.queries);
  return spread;
}

}  // namespace

Sha256Digest digest_of(const KvLearning& learning) {
  Sha256 sha256;
  sha256.add(learning.sizes.n_layers).add(learning.sizes.n_kv_heads).add(learning.sizes.head_dim);
  sha256.add(learning.n_heads).add(learning.n_positions).add(learning.centred).add_all(learning.layer_ropes);
  for (const RotaryTable& rope : learning.ropes) sha256.add(rope.magnitude).add_all(rope.frequencies);
  return sha256.finish();
}

KvLearner::KvLearner(KvLearning learning, kernels::Backend& host) : learning_(std::move(learning)), host_(host) {
  for (const RotaryTable& rope : learning_.ropes) {
    means_.emplace_back(rope, learning_.sizes.head_dim, learning_.n_positions);
  }
  heads_.reserve(learning_.sizes.heads());
}

void KvLearner::run(std::size_t n, const std::function<void(std::size_t)>& work) {
  std::atomic<bool> lacking{false};
  host_.run_on_host(n, [&](std::size_t i) {
    try {
      work(i);
    } catch (const std::bad_alloc&) {
      lacking = true;
    }
  });
  if (lacking) throw std::bad_alloc();
}

void KvLearner::add_layer(std::span<const float> qkv, std::uint32_t n_rows) {
  const std::size_t n = learning_.sizes.n_kv_heads;
  const QkvRows rows{qkv, n_rows, learning_.n_heads, learning_.sizes.n_kv_heads, learning_.sizes.head_dim};
  const std::uint32_t skipped = std::min(kSkipped, n_rows / 2);
  const std::size_t first = heads_.size();
  heads_.resize(first + n);
  run(n, [&](std::size_t head) {
    heads_[first + head] = head_statistics(rows, static_cast<std::uint32_t>(head), skipped, has_maps(learning_.sizes));
  });
}

void KvLearner::finish_head(std::size_t head, LearntKvMaps& learnt) {
  const std::size_t dim = learnt.sizes.head_dim;
  const RotaryMeans& means = means_.at(learning_.layer_ropes.at(head / learnt.sizes.n_kv_heads));
  const HeadSpread spread = spread_of(heads_[head], means, learning_.centred);
  float* const centre = learnt.centres.data() + head * dim;
  learnt.value_scales[head] = value_scale(heads_[head].value_square);
  if (learnt.keys.empty()) {
    std::ranges::copy(narrow_centre(spread.centre), centre);
    return;
  }
  const HeadMaps maps = balance(spread);
  std::ranges::copy(maps.centre, centre);
  std::ranges::copy(maps.keys, learnt.keys.data() + head * dim * dim);
  std::ranges::copy(maps.queries, learnt.queries.data() + head * dim * dim);
  learnt.scales[head] = maps.scale;
  heads_[head] = {};
}

LearntKvMaps KvLearner::finish() {
  LearntKvMaps learnt;
  learnt.sizes = learning_.sizes;
  const std::size_t heads = learnt.sizes.heads();
  const std::size_t dim = learnt.sizes.head_dim;
  learnt.centres.resize(heads * dim);
  if (has_maps(learnt.sizes)) {
    learnt.keys.resize(heads * dim * dim);
    learnt.queries.resize(heads * dim * dim);
  }
  learnt.scales.assign(heads, 1);
  learnt.value_scales.assign(heads, 1);
  run(heads, [&](std::size_t head) { finish_head(head, learnt); });
  return learnt;
}

}  // namespace headwater::model
