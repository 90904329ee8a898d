#include "kernels/cpu/kv_arena.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/rope.h"
#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {
namespace {

class KvArenaCopy : public testing::TestWithParam<const char*> {};

TEST_P(KvArenaCopy, GivesABlockAllThatAnotherHoldsAndTouchesNoOther) {
  const KvShape shape{3, 2, 16, 8, *parse_quant_policy(GetParam())};
  const KvArena arena(shape, 4);
  const std::size_t bytes = KvArena::block_bytes(shape);
  const auto block = [&](std::int32_t id) { return arena.head_bytes(id, 0, 0); };
  for (std::int32_t id = 0; id < 4; ++id) std::memset(block(id), id + 1, bytes);
  block(1)[bytes - 1] = std::byte{77};
  arena.copy_block(1, 2);
  EXPECT_EQ(std::memcmp(block(1), block(2), bytes), 0);
  for (std::int32_t id : {0, 3}) {
    EXPECT_EQ(block(id)[0], std::byte(id + 1));
    EXPECT_EQ(block(id)[bytes - 1], std::byte(id + 1));
  }
  arena.copy_block(2, 2);
  EXPECT_EQ(std::memcmp(block(1), block(2), bytes), 0);
}

TEST_P(KvArenaCopy, ReadsABlockOutAndWritesItBackAsItWas) {
  const KvShape shape{3, 2, 64, 16, *parse_quant_policy(GetParam())};
  const KvArena arena(shape, 3);
  const std::size_t bytes = KvArena::block_bytes(shape);
  for (std::int32_t id = 0; id < 3; ++id) std::memset(arena.head_bytes(id, 0, 0), id + 1, bytes);
  arena.head_bytes(1, 0, 0)[bytes - 1] = std::byte{77};
  std::vector<std::byte> read(bytes);
  arena.read_block(1, read);
  arena.write_block(2, read);
  EXPECT_EQ(std::memcmp(arena.head_bytes(1, 0, 0), arena.head_bytes(2, 0, 0), bytes), 0);
  EXPECT_EQ(arena.head_bytes(0, 0, 0)[bytes - 1], std::byte{1});
  read.pop_back();
  EXPECT_THROW(arena.read_block(1, read), std::invalid_argument);
  EXPECT_THROW(arena.write_block(2, read), std::invalid_argument);
}

/// A sequence that goes on in a copy of its last block, whose other rows hold something else, attends as it would have
/// in its own.
TEST_P(KvArenaCopy, LeavesAttentionAsItWas) {
  constexpr std::uint32_t kHeads = 2, kDim = 64, kTokens = 16, kAll = 29;
  const KvShape shape{1, kHeads, kDim, kTokens, *parse_quant_policy(GetParam())};
  const AttentionShape heads{0, kHeads, kHeads, kDim, 0};
  ThreadPool pool(1);
  Rotary rotary;
  Attention attention(best_attention_path(shape), shape.format);
  const auto rows = random_values(std::size_t{2} * kTokens * 3 * kHeads * kDim, 5);
  const std::size_t row = std::size_t{3} * kHeads * kDim;
  const auto run = [&](const KvArena& arena, std::uint32_t first, std::uint32_t end,
                       std::span<const std::int32_t> table, unsigned other = 0) {
    std::vector<float> part(rows.begin() + std::ptrdiff_t(first * row), rows.begin() + std::ptrdiff_t(end * row));
    if (other > 0) part = random_values(part.size(), other);
    std::vector<float> out(std::size_t{end - first} * kHeads * kDim);
    const SequenceRows sequence{0, end - first, first, table};
    rotary.rotate_and_store(arena, heads, {&sequence, 1}, part.data(), pool);
    attention.run(arena, heads, {&sequence, 1}, part.data(), out.data(), pool);
    return out;
  };
  for (std::uint32_t same : {17U, 18U, 21U, 28U}) {
    const KvArena arena(shape, 5);
    const std::int32_t own[] = {0, 1}, source[] = {0, 2}, copied[] = {0, 3};
    run(arena, 0, same, own);
    const auto expected = run(arena, same, kAll, own);
    run(arena, 16, same, source);
    run(arena, same, 32, source, 9);  // another text goes on in the block
    arena.copy_block(2, 3);
    EXPECT_EQ(run(arena, same, kAll, copied), expected) << same;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, KvArenaCopy, testing::Values("0", "8", "4", "k8v4", "k4v8"),
                         [](const auto& test) { return std::string("Kv") + test.param; });

}  // namespace
}  // namespace headwater::kernels::cpu
