#include "model/kv_learner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace headwater::model {
namespace {

constexpr std::uint32_t kRows = 40;

/// Two layers that turn by tables of their own, two KV heads with three queries each.
KvLearning small_learning(std::uint32_t head_dim = 8) {
  KvLearning learning;
  learning.sizes = {2, 2, head_dim};
  learning.n_heads = 6;
  learning.ropes = {{{1, 0.01F, 0.002F}, 1}, {{0.7F}, 1.2F}};
  learning.layer_ropes = {0, 1};
  learning.n_positions = 50;
  return learning;
}

std::vector<std::vector<float>> random_layers(const KvLearning& learning) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(1, 2);
  const std::size_t width = (learning.n_heads + 2 * std::size_t{learning.sizes.n_kv_heads}) * learning.sizes.head_dim;
  std::vector<std::vector<float>> layers(learning.sizes.n_layers, std::vector<float>(kRows * width));
  for (auto& layer : layers) {
    for (float& x : layer) x = normal(random);
  }
  return layers;
}

LearntKvMaps learn(const KvLearning& learning, const std::vector<std::vector<float>>& layers,
                   std::uint32_t threads = 2) {
  const auto host = kernels::make_cpu_backend(threads);
  KvLearner learner(learning, *host);
  for (const auto& layer : layers) learner.add_layer(layer, kRows);
  return learner.finish();
}

TEST(KvLearner, CentresKeysWhereTheyAreOverAllPositionsBehindTheFirstTokens) {
  const KvLearning learning = small_learning();
  const auto layers = random_layers(learning);
  const LearntKvMaps learnt = learn(learning, layers);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    const RotaryTable& rope = learning.ropes[layer];
    for (std::size_t head = 0; head < 2; ++head) {
      std::vector<double> centre(8);
      for (std::size_t row = 4; row < kRows; ++row) {
        const float* key = &layers[layer][(row * 10 + 6 + head) * 8];
        for (std::size_t p = 0; p < 50; ++p) {
          for (std::size_t i = 0; i < 8; ++i) {
            const bool turns = i / 2 < rope.frequencies.size();
            const double angle = turns ? double(p) * rope.frequencies[i / 2] : 0;
            const double other = i % 2 == 0 ? -key[i + 1] : key[i - 1];
            const double turned = key[i] * std::cos(angle) + other * std::sin(angle);
            centre[i] += turned * (turns ? rope.magnitude : 1) / 50 / (kRows - 4);
          }
        }
      }
      for (std::size_t i = 0; i < 8; ++i) {
        EXPECT_NEAR(learnt.centres[(layer * 2 + head) * 8 + i], centre[i], 1e-5) << layer << ' ' << head << ' ' << i;
      }
    }
  }
}

TEST(KvLearner, TakesNothingFromKeysThatMayNotBeCentred) {
  KvLearning learning = small_learning();
  learning.centred = false;
  const LearntKvMaps learnt = learn(learning, random_layers(learning));
  EXPECT_EQ(learnt.centres, std::vector<float>(learnt.centres.size()));
  EXPECT_NE(learnt.keys, learn(small_learning(), random_layers(learning)).keys);
}

TEST(KvLearner, GivesTheSameBitsOnAnyThreads) {
  const KvLearning learning = small_learning(24);
  const auto layers = random_layers(learning);
  const LearntKvMaps expected = learn(learning, layers, 1);
  for (const std::uint32_t threads : {1U, 2U, 7U}) {
    const LearntKvMaps got = learn(learning, layers, threads);
    EXPECT_EQ(got.centres, expected.centres);
    EXPECT_EQ(got.keys, expected.keys);
    EXPECT_EQ(got.queries, expected.queries);
    EXPECT_EQ(got.scales, expected.scales);
    EXPECT_EQ(got.value_scales, expected.value_scales);
  }
}

TEST(KvLearner, LeavesTheOtherHeadsAloneWhereOneIsNotFinite) {
  const KvLearning learning = small_learning();
  auto layers = random_layers(learning);
  const LearntKvMaps whole = learn(learning, layers);
  layers[0][1648] = INFINITY;  // a key of the first head
  layers[1][1672] = NAN;       // a value of the last
  const LearntKvMaps learnt = learn(learning, layers);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(learnt.keys[i], i % 9 == 0 ? 1 : 0);
  for (std::size_t i = 64; i < learnt.keys.size(); ++i) EXPECT_EQ(learnt.keys[i], whole.keys[i]);
  EXPECT_EQ(learnt.centres[0], 0);
  EXPECT_EQ(learnt.value_scales[3], 1);
  EXPECT_EQ(learnt.value_scales[0], whole.value_scales[0]);
}

TEST(KvLearner, FindsCentresAloneWhereHeadsAreTooLargeForMaps) {
  const KvLearning learning = small_learning(2048);
  const LearntKvMaps learnt = learn(learning, random_layers(learning));
  EXPECT_TRUE(learnt.keys.empty() && learnt.queries.empty());
  EXPECT_NE(learnt.centres[0], 0);
}

TEST(KvLearner, OfOtherPositionsTablesOrSizesHasAnotherDigest) {
  const Sha256Digest digest = digest_of(small_learning());
  EXPECT_EQ(digest_of(small_learning()), digest);
  KvLearning other = small_learning();
  other.n_positions = 51;
  EXPECT_NE(digest_of(other), digest);
  other = small_learning();
  other.ropes[1].frequencies[0] = 0.71F;
  EXPECT_NE(digest_of(other), digest);
  other = small_learning();
  other.layer_ropes[1] = 0;
  EXPECT_NE(digest_of(other), digest);
  other = small_learning();
  other.centred = false;
  EXPECT_NE(digest_of(other), digest);
  EXPECT_NE(digest_of(small_learning(24)), digest);
}

}  // namespace
}  // namespace headwater::model
