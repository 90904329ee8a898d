#include "kernels/cpu/quantized_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cpu/ops.h"
#include "tests/kernels/weights.h"

namespace headwater::kernels::cpu {
namespace {

using Use = QuantizedMatrix::Use;

/// Parts one above the other.
struct Stack {
  std::vector<Weights> weights;
  std::vector<HostTensor> parts;
  std::size_t rows = 0;

  struct Part {
    DType type;
    std::size_t rows;
  };
  Stack(const std::vector<Part>& all, std::size_t cols) {
    weights.reserve(all.size());
    for (const Part& part : all) {
      weights.push_back(make_weights(part.type, part.rows, cols, static_cast<unsigned>(weights.size() + 1)));
      parts.push_back(weights.back().tensor);
      rows += part.rows;
    }
  }
};

/// The products of each part by itself, side by side: [n, rows].
std::vector<float> multiply_apart(const Stack& stack, const std::vector<float>& x, std::size_t n, Rounding rounding) {
  ThreadPool pool(1);
  WeightMemory memory;
  RoundedInputs rounded;
  std::vector<float> out(n * stack.rows);
  std::size_t before = 0;
  for (const HostTensor& part : stack.parts) {
    std::vector<float> own(n * part.rows);
    QuantizedMatrix({&part, 1}, Use::linear, memory, pool, rounding).multiply(x.data(), n, own.data(), rounded, pool);
    for (std::size_t r = 0; r < n; ++r) {
      std::copy_n(&own[r * part.rows], part.rows, &out[r * stack.rows + before]);
    }
    before += part.rows;
  }
  return out;
}

constexpr Rounding kRoundings[] = {Rounding::rows, Rounding::groups};
const std::vector<Stack::Part> kMixed = {{DType::q4_k, 21}, {DType::q4_k, 5},  {DType::q6_k, 14}, {DType::q5_0, 3},
                                         {DType::q8_0, 18}, {DType::q4_0, 40}, {DType::q5_1, 1},  {DType::q5_k, 33}};

TEST(QuantizedMatrix, PartsOfAnyTypesAreOneMatrixWithTheBitsOfEach) {
  const Stack stack(kMixed, 768);
  WeightMemory memory;
  RoundedInputs rounded;
  ThreadPool one(1);
  ThreadPool three(3);
  ASSERT_TRUE(QuantizedMatrix::takes(stack.parts));
  for (const Rounding rounding : kRoundings) {
    const QuantizedMatrix matrix(stack.parts, Use::linear, memory, three, rounding);
    EXPECT_EQ(matrix.rows(), stack.rows);
    EXPECT_EQ(matrix.n_segments(), 6U) << "Q5_1 and Q5_K share panels, as do parts of one type";
    for (const std::size_t n : {1, 2, 3, 4, 5, 7, 16, 17, 33, 40, 200}) {
      const std::vector<float> x = make_rows(n, 768, static_cast<unsigned>(n));
      std::vector<float> out(n * stack.rows);
      matrix.multiply(x.data(), n, out.data(), rounded, n % 2 == 0 ? one : three);
      EXPECT_EQ(out, multiply_apart(stack, x, n, rounding)) << n << " rows";
    }
  }
}

TEST(QuantizedMatrix, PartsThatEndWithinAPanelAreOneMatrix) {
  const Stack stack({{DType::q4_1, 21}, {DType::q4_1, 14}}, 96);
  WeightMemory memory;
  RoundedInputs rounded;
  ThreadPool pool(2);
  const QuantizedMatrix matrix(stack.parts, Use::linear, memory, pool);
  EXPECT_EQ(matrix.n_segments(), 1U);
  const std::vector<float> x = make_rows(9, 96, 3);
  std::vector<float> out(9 * 35);
  matrix.multiply(x.data(), 9, out.data(), rounded, pool);
  EXPECT_EQ(out, multiply_apart(stack, x, 9, Rounding::rows));
}

TEST(QuantizedMatrix, ARowHasTheSameBitsAloneAndInAnyCompany) {
  for (const std::vector<Stack::Part>& parts :
       {std::vector<Stack::Part>{{DType::q4_k, 960}},
        {{DType::q4_k, 512}, {DType::q6_k, 128}},
        {{DType::q8_0, 3000}},  // is cut into more tasks than are a thread's least
        {{DType::q5_k, 200}, {DType::q8_0, 31}}}) {
    const Stack stack(parts, 768);
    const std::vector<float> x = make_rows(300, 768, 2);
    WeightMemory memory;
    RoundedInputs rounded;
    ThreadPool one(1);
    ThreadPool three(3);
    for (const Rounding rounding : kRoundings) {
      const QuantizedMatrix matrix(stack.parts, Use::linear, memory, one, rounding);
      std::vector<float> all(300 * stack.rows);
      matrix.multiply(x.data(), 300, all.data(), rounded, three);
      for (const std::size_t n : {1, 2, 3, 4, 5, 6, 17, 48, 129}) {
        std::vector<float> some(n * stack.rows);
        const std::size_t first = 300 - n;
        matrix.multiply(x.data() + first * 768, n, some.data(), rounded, n % 2 == 0 ? one : three);
        EXPECT_EQ(std::memcmp(some.data(), &all[first * stack.rows], some.size() * sizeof(float)), 0) << n;
      }
    }
  }
}

TEST(QuantizedMatrix, GatedProductsHaveTheBitsOfTheirParts) {
  for (const auto& [gate, up] : {std::pair{DType::q4_1, DType::q4_1},
                                 {DType::q6_k, DType::q6_k},
                                 {DType::q5_k, DType::q5_k},
                                 {DType::q4_k, DType::q6_k},
                                 {DType::q8_0, DType::q4_0}}) {
    for (const std::size_t dim : {16, 48, 20}) {  // the last is no whole number of panels
      const Stack stack({{gate, dim}, {up, dim}}, 256);
      const std::vector<float> x = make_rows(50, 256, 2);
      WeightMemory memory;
      RoundedInputs rounded;
      ThreadPool pool(2);
      for (const Rounding rounding : kRoundings) {
        const QuantizedMatrix gated(stack.parts, Use::gated, memory, pool, rounding);
        for (const std::size_t n : {1, 3, 4, 16, 17, 50}) {
          for (const Activation activation : {Activation::silu, Activation::gelu}) {
            std::vector<float> expected(n * dim);
            const auto multiply = activation == Activation::silu ? silu_mul : gelu_mul;
            multiply(multiply_apart(stack, x, n, rounding).data(), n, dim, expected.data(), dim);
            std::vector<float> got(n * dim);
            gated.multiply_gated(x.data(), n, activation, got.data(), rounded, pool);
            EXPECT_EQ(got, expected) << name(gate) << ' ' << name(up) << ' ' << dim << ", " << n << " rows";
          }
        }
      }
    }
  }
}

TEST(QuantizedMatrix, ANonFiniteRowIsNaNAndLeavesItsNeighboursAlone) {
  const Weights weights = make_weights(DType::q4_1, 48, 960, 1);
  std::vector<float> x = make_rows(20, 960, 2);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 960 / kGroup == 2) x[i] *= 100;  // a wide group in each row
  }
  ThreadPool pool(1);
  WeightMemory memory;
  RoundedInputs rounded;
  for (const Rounding rounding : kRoundings) {
    const QuantizedMatrix matrix({&weights.tensor, 1}, Use::linear, memory, pool, rounding);
    for (const std::size_t n : {2, 20}) {
      std::vector<float> clean(n * 48);
      matrix.multiply(x.data(), n, clean.data(), rounded, pool);
      if (rounding == Rounding::groups) {
        ASSERT_EQ(rounded.groups.rows().wide[0], 1U << 2U);
      }
      std::vector<float> dirty = x;
      dirty[960 + 5] = std::numeric_limits<float>::infinity();
      std::vector<float> out(n * 48);
      matrix.multiply(dirty.data(), n, out.data(), rounded, pool);
      for (std::size_t i = 0; i < out.size(); ++i) {
        if (i / 48 == 1) {
          EXPECT_TRUE(std::isnan(out[i]));
        } else {
          EXPECT_EQ(out[i], clean[i]);
        }
      }
    }
  }
}

TEST(QuantizedMatrix, SaysWhatItDoesNotTake) {
  const auto obstacle = [](const std::vector<HostTensor>& parts) { return QuantizedMatrix::obstacle(parts); };
  for (const DType type : {DType::q4_0, DType::q4_1, DType::q8_0, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k,
                           DType::q6_k, DType::iq4_nl, DType::iq4_xs}) {
    EXPECT_EQ(obstacle({{nullptr, type, 1, 32768}}), "") << name(type);
    EXPECT_EQ(obstacle({{nullptr, type, 1, 32768}, {nullptr, DType::f16, 1, 32768}}), "weights in F16 are part of it");
  }
  EXPECT_EQ(obstacle({{nullptr, DType::bf16, 1, 32}}), "weights in BF16 are part of it");
  EXPECT_EQ(obstacle({{nullptr, DType::q8_0, 1, 32800}}), "it has 32800 columns, more than 32768");
}

/// The panels of a matrix, which three threads must share in order.
std::size_t shared_panels(const std::vector<Stack::Part>& parts, std::size_t cols) {
  const Stack stack(parts, cols);
  WeightMemory memory;
  ThreadPool pool(3);
  const QuantizedMatrix matrix(stack.parts, Use::linear, memory, pool);
  const WeightRange& range = matrix.range();
  const auto begin = reinterpret_cast<std::uintptr_t>(range.panels.get());
  std::uintptr_t next = begin;
  for (std::size_t thread = 0; thread < 3; ++thread) {
    const WeightStream::Range share = range.share(pool, thread);
    EXPECT_EQ(share.begin, next);
    EXPECT_GT(share.end, share.begin);
    next = share.end;
  }
  EXPECT_EQ(next, begin + range.bytes());
  return range.n_panels;
}

TEST(WeightRange, SharesAllPanelsAmongTheThreadsInOrder) {
  EXPECT_EQ(shared_panels(kMixed, 256), 2U + 1 + 1 + 2 + 3 + 3);
  EXPECT_EQ(shared_panels({{DType::q8_0, 3000}}, 768), 188U) << "and so where weights are many";
}

TEST(WeightRange, HasTheBytesThatAreForetold) {
  WeightMemory memory;
  ThreadPool pool(1);
  for (const DType type : {DType::q4_1, DType::q4_k, DType::q5_k, DType::q6_k, DType::q8_0}) {
    const Stack stack({{type, 35}}, 768);
    const QuantizedMatrix matrix(stack.parts, Use::linear, memory, pool);
    EXPECT_EQ(matrix.range().bytes(), QuantizedMatrix::bytes_of(stack.parts[0])) << name(type);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
