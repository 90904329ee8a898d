#include "kernels/cpu/ops.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace headwater::kernels::cpu {
namespace {

/// Every instruction set that this machine has and the kernels are compiled for.
class Ops : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }

 private:
  static void choose(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// One, primes, tails of every vector width, multiples.
constexpr std::size_t kSizes[] = {1, 2, 7, 13, 16, 31, 64, 97, 576, 1000};

std::vector<float> random_values(std::size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want, float relative) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], relative * (1 + std::abs(want[i]))) << "at " << i;
  }
}

TEST_P(Ops, RmsNormAgreesWithItsReference) {
  for (std::size_t n : kSizes) {
    const auto x = random_values(n, 1);
    const auto weight = random_values(n, 2);
    std::vector<float> got(n);
    std::vector<float> want(n);
    rms_norm(x.data(), weight.data(), 1e-5F, n, got.data());
    reference::rms_norm(x.data(), weight.data(), 1e-5F, n, want.data());
    expect_near(got, want, 1e-5F);
  }
}

TEST_P(Ops, RmsNormOfZerosIsZero) {
  const std::vector<float> zeros(33);
  std::vector<float> got(33, 1);
  rms_norm(zeros.data(), zeros.data(), 1e-5F, 33, got.data());
  EXPECT_EQ(got, zeros);
}

TEST_P(Ops, SiluMulAgreesWithItsReferenceAlsoFarFromZero) {
  for (std::size_t n : kSizes) {
    auto gate = random_values(n, 3, 8);
    const auto up = random_values(n, 4);
    const float far[] = {-100, -200, -300, 200, -3e37F, 3e37F};
    for (std::size_t i = 0; i < std::min(n, std::size(far)); ++i) gate[i] = far[i];
    std::vector<float> got(n);
    std::vector<float> want(n);
    std::vector<float> both = gate;
    both.insert(both.end(), up.begin(), up.end());
    silu_mul(both.data(), 1, n, got.data(), n);
    reference::silu_mul(gate.data(), up.data(), n, want.data());
    expect_near(got, want, 1e-5F);
  }
}

TEST_P(Ops, RopeAgreesWithItsReference) {
  for (std::size_t pairs : kSizes) {
    auto got = random_values(2 * pairs, 5);
    auto want = got;
    std::vector<float> cosines(pairs);
    std::vector<float> sines(pairs);
    for (std::size_t i = 0; i < pairs; ++i) {
      cosines[i] = std::cos(static_cast<float>(i));
      sines[i] = std::sin(static_cast<float>(i));
    }
    rope(got.data(), cosines.data(), sines.data(), pairs, 0.125F);
    reference::rope(want.data(), cosines.data(), sines.data(), pairs, 0.125F);
    expect_near(got, want, 1e-6F);
  }
}

TEST_P(Ops, AddTouchesNothingBeyondItsEnd) {
  for (std::size_t n : kSizes) {
    std::vector<float> x(n + 1, 1);
    const std::vector<float> y(n + 1, 2);
    add(x.data(), y.data(), n);
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(x[i], 3);
    EXPECT_EQ(x[n], 1);
  }
}

/// Values that rounding finds hard.
std::vector<float> awkward_values() {
  std::vector<float> values = random_values(1000, 6, 100);
  for (float special :
       {0.0F, -0.0F, 1.0F, 65504.0F, 65519.0F, 65520.0F, 1e30F, 6.0e-8F, 2.9e-8F, 6.1e-5F, 1.00048828125F,
        1.0029296875F, 1e-40F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    values.push_back(special);
    values.push_back(-special);
  }
  return values;
}

TEST_P(Ops, RoundingToBf16IsExactlyTheReference) {
  const auto values = awkward_values();
  std::vector<std::uint16_t> got(values.size());
  std::vector<std::uint16_t> want(values.size());
  to_bf16(values.data(), values.size(), got.data());
  reference::to_bf16(values.data(), values.size(), want.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      EXPECT_TRUE(std::isnan(std::bit_cast<float>(std::uint32_t{got[i]} << 16U)));
    } else {
      EXPECT_EQ(got[i], want[i]) << values[i];
    }
  }
}

TEST_P(Ops, RoundingToHalfIsExactlyTheReferenceAndStaysFinite) {
  const auto values = awkward_values();
  std::vector<Half> got(values.size());
  std::vector<Half> want(values.size());
  to_half(values.data(), values.size(), got.data());
  reference::to_half(values.data(), values.size(), want.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float back = reference::from_half(got[i]);
    if (std::isnan(values[i])) {
      EXPECT_TRUE(std::isnan(back));
    } else {
      EXPECT_EQ(got[i], want[i]) << values[i];
      EXPECT_TRUE(std::isfinite(back)) << values[i];
      if (std::abs(values[i]) < 65504 && std::abs(values[i]) > 1e-4F) {
        EXPECT_NEAR(back, values[i], std::abs(values[i]) / 2048);
      }
    }
  }
}

/// A sequence of random keys and values, and queries over it.
struct Attention {
  std::size_t head_dim, block_tokens;
  std::vector<std::vector<Half>> blocks;
  std::vector<const Half*> block_pointers;
  std::vector<std::vector<float>> queries;
  std::vector<std::uint32_t> contexts;

  Attention(std::size_t dim, std::size_t tokens, std::vector<std::uint32_t> seen)
      : head_dim(dim), block_tokens(tokens), contexts(std::move(seen)) {
    const std::uint32_t longest = *std::max_element(contexts.begin(), contexts.end());
    for (std::size_t i = 0; i * tokens < longest; ++i) {
      const auto values = random_values(2 * dim * tokens, static_cast<unsigned>(100 + i));
      blocks.emplace_back(values.size());
      reference::to_half(values.data(), values.size(), blocks.back().data());
    }
    // What lies beyond the last token was never written: it may be anything.
    const std::size_t used = longest - (blocks.size() - 1) * tokens;
    for (std::size_t t = used; t < tokens; ++t) {
      for (std::size_t i = 0; i < dim; ++i) {
        blocks.back()[i * tokens + t] = 0x7E00;
        blocks.back()[dim * tokens + t * dim + i] = 0x7C00;
      }
    }
    for (const auto& block : blocks) block_pointers.push_back(block.data());
    for (std::size_t q = 0; q < contexts.size(); ++q) queries.push_back(random_values(dim, unsigned(q)));
  }

  std::vector<std::vector<float>> run(void (*kernel)(const AttendTask&), std::size_t first, std::size_t n) const {
    std::vector<std::vector<float>> outputs(n, std::vector<float>(head_dim, -7));
    std::vector<const float*> query_pointers;
    std::vector<float*> output_pointers;
    for (std::size_t q = 0; q < n; ++q) {
      query_pointers.push_back(queries[first + q].data());
      output_pointers.push_back(outputs[q].data());
    }
    std::vector<float> scratch(kMaxQueries * block_tokens);
    kernel({head_dim, block_tokens, n, query_pointers.data(), output_pointers.data(), contexts.data() + first,
            block_pointers.data(), scratch.data()});
    return outputs;
  }
};

TEST_P(Ops, AttentionAgreesWithItsReferenceAndNeverReadsWhatWasNotWritten) {
  for (std::size_t dim : {16U, 64U, 80U, 96U, 128U, 256U, 10U}) {
    for (std::size_t tokens : {8U, 32U, 64U}) {
      const Attention attention(dim, tokens, {1, 2, 31, 32, 33, 64, 65, 100, 101, 102, 103, 7});
      const auto got = attention.run(attend, 0, attention.queries.size());
      const auto want = attention.run(reference::attend, 0, attention.queries.size());
      for (std::size_t q = 0; q < got.size(); ++q) expect_near(got[q], want[q], 2e-5F);
    }
  }
}

TEST_P(Ops, AttentionOfAQueryIsBitIdenticalWhateverQueriesStandBesideIt) {
  const Attention attention(64, 32, {5, 33, 64, 90, 91, 92, 93, 94, 95, 96, 97});
  for (std::size_t n = 2; n <= attention.queries.size(); ++n) {
    const auto together = attention.run(attend, 0, n);
    for (std::size_t q = 0; q < n; ++q) EXPECT_EQ(together[q], attention.run(attend, q, 1)[0]) << q << " of " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Ops, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& test) { return std::string(hwy::TargetName(test.param)); });

}  // namespace
}  // namespace headwater::kernels::cpu
