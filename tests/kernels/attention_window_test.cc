// Attention that sees a window, and attention whose scores are capped.

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/kernels/attention_world.h"

namespace headwater::kernels::cpu {
namespace {

class WindowedAttention : public AttentionTest {};

TEST_P(WindowedAttention, AgreesWithItsReferenceForEveryWindow) {
  World world(3, 1, 64, 32, {1300}, GetParam().format);
  for (const std::uint32_t window : {1U, 2U, 31U, 32U, 33U, 255U, 256U, 257U, 512U, 600U, 5000U}) {
    world.see(window);
    for (const std::uint32_t context : {1U, 33U, 256U, 257U, 513U, 769U, 1300U}) {
      const std::string where = " with a window of " + std::to_string(window);
      expect_right(world, {{0, context - 1, 1}}, "decoding at " + std::to_string(context) + where);
      const std::uint32_t n = std::min(context, 47U);
      expect_right(world, {{0, context - n, n}}, "a chunk up to " + std::to_string(context) + where);
    }
  }
}

TEST_P(WindowedAttention, AgreesWithItsReferenceForEveryCap) {
  World world(8, 2, 64, 32, {600}, GetParam().format);
  for (const float cap : {0.1F, 1.0F, 50.0F}) {
    world.cap(cap);
    for (const std::uint32_t window : {0U, 100U}) {
      world.see(window);
      expect_right(world, {{0, 0, 40}, {0, 599, 1}, {0, 250, 20}}, "a cap of " + std::to_string(cap));
    }
  }
}

TEST_P(WindowedAttention, ARowOfAWindowHasTheSameBitsInAnyBatchAndReadsNothingBeforeIt) {
  for (const std::uint32_t window : {5U, 64U, 300U}) {
    World world(8, 2, 64, 32, {900, 700}, GetParam().format);
    world.see(window);
    const std::vector<float> whole = run(world, {{0, 0, 900}, {1, 0, 700}}, 2);
    // Whole blocks before the window may be anybody's.
    for (std::uint32_t t = 0; t < world.grid().begin(world.grid().whole(850 - window)); ++t) {
      world.poison(0, t, false);
      world.poison(0, t, true);
    }
    for (const std::uint32_t n : {1U, 3U, 50U}) {
      const std::vector<float> some = run(world, {{1, 650, 2}, {0, 900 - n, n}, {1, 699, 1}}, 1 + n % 2);
      EXPECT_TRUE(same_bits(some.data() + 2 * world.row_size(), whole.data() + (900 - n) * world.row_size(),
                            n * world.row_size()))
          << n << " rows, a window of " << window;
      EXPECT_TRUE(same_bits(some.data(), whole.data() + (900 + 650) * world.row_size(), 2 * world.row_size()));
    }
  }
}

TEST_P(WindowedAttention, IsTheSameBitForBitWhereAllBlocksBeforeTheWindowWereGivenBack) {
  constexpr std::uint32_t kTokens = 600;
  for (const std::uint32_t window : {1U, 64U, 290U}) {
    World world(6, 2, 64, 32, {kTokens, 200}, GetParam().format, true);
    const auto before = [&](std::uint32_t row) { return row < window ? 0 : world.grid().whole(row + 1 - window); };
    world.see(window);
    const std::vector<float> whole = run(world, {{0, 0, kTokens}}, 2);
    for (std::uint32_t row = 0; row < kTokens;) {
      const std::uint32_t n = std::min(row % 3 == 0 ? 1U : 70U, kTokens - row);
      world.give_back(0, before(row));
      const std::vector<float> some = run(world, {{1, 150, 50}, {0, row, n}}, 2);
      ASSERT_TRUE(
          same_bits(some.data() + 50 * world.row_size(), whole.data() + row * world.row_size(), n * world.row_size()))
          << n << " rows from " << row << " on, a window of " << window;
      row += n;
    }
  }
}

TEST_P(WindowedAttention, ANanStaysWithTheRowsThatSeeItsBlock) {
  constexpr std::uint32_t kWindow = 60;
  constexpr std::uint32_t kRows = 200;
  for (const bool value : {false, true}) {
    World world(3, 1, 64, 32, {kRows}, GetParam().format);
    world.see(kWindow);
    const std::vector<float> without = run(world, {{0, 0, kRows}}, 1);
    world.poison(0, 40, value);
    const std::vector<float> with = run(world, {{0, 0, kRows}}, 1);
    const std::uint32_t first = 64 + kWindow - 1;  // whose window begins behind the block
    EXPECT_TRUE(same_bits(with.data(), without.data(), 40 * world.row_size())) << value;
    EXPECT_FALSE(same_bits(with.data() + 50 * world.row_size(), without.data() + 50 * world.row_size(), 64)) << value;
    EXPECT_TRUE(same_bits(with.data() + first * world.row_size(), without.data() + first * world.row_size(),
                          (kRows - first) * world.row_size()))
        << value;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, WindowedAttention, testing::ValuesIn(ways()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace headwater::kernels::cpu
