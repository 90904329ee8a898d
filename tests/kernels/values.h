#pragma once
// What the kernels' tests share: random numbers, formats of the KV cache, and running a test for every instruction set.

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "kernels/cpu/cpu_features.h"
#include "kernels/kv_format.h"

namespace headwater::kernels::cpu {

/// The instruction sets that Highway's kernels are compiled for, and may run with.
inline std::vector<std::int64_t> highway_targets() {
  (void)cpu_choice();  // which may leave some out
  std::vector<std::int64_t> all = hwy::SupportedAndGeneratedTargets();
  (void)highway_target_bits();  // so that Highway chooses from them again
  return all;
}

/// Parametrised by highway_targets().
class EveryTarget : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }

 private:
  static void choose(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// What a policy of kv_format.h names. Throws std::invalid_argument.
inline KvFormat format_of(const char* policy) {
  const auto format = parse_quant_policy(policy);
  if (!format) throw std::invalid_argument(policy);
  return *format;
}

inline std::vector<float> random_values(std::size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace headwater::kernels::cpu
