#include "kernels/cpu/kv_arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/rope.h"
#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {
namespace {

class KvArenaCopy : public testing::TestWithParam<const char*> {};

TEST_P(KvArenaCopy, GivesABlockAllThatAnotherHoldsAndTouchesNoOther) {
  const KvGeometry geometry{std::vector<KvLayer>(3, {2, 16}), 16, format_of(GetParam())};
  const KvArena arena(geometry, 4);
  const std::size_t bytes = KvArena::block_bytes(geometry).total();
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
  const KvGeometry geometry{std::vector<KvLayer>(3, {2, 64}), 16, format_of(GetParam())};
  const KvArena arena(geometry, 3);
  const std::size_t bytes = KvArena::block_bytes(geometry).total();
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
  constexpr std::uint32_t kHeads = 2, kDim = 64, kTokens = 16, kAll = 24;
  const KvGeometry geometry{{{kHeads, kDim}}, kTokens, format_of(GetParam())};
  const AttentionShape heads{0, kHeads, kHeads, kDim, 0};
  ThreadPool pool(1);
  Rotary rotary;
  Attention attention(AttentionPath::generic, geometry.format);  // tiles cannot take such blocks
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
  const std::uint32_t second = geometry.grid().begin(1);
  for (std::uint32_t same : {17U, 18U, 21U, 23U}) {
    const KvArena arena(geometry, 5);
    const std::int32_t own[] = {0, 1}, source[] = {0, 2}, copied[] = {0, 3};
    run(arena, 0, same, own);
    const auto expected = run(arena, same, kAll, own);
    run(arena, second, same, source);
    run(arena, same, second + kTokens, source, 9);  // another text goes on in the block
    arena.copy_block(2, 3);
    EXPECT_EQ(run(arena, same, kAll, copied), expected) << same;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, KvArenaCopy, testing::Values("0", "8", "4", "k8v4", "k4v8"),
                         [](const auto& test) { return std::string("Kv") + test.param; });

/// Layers of several numbers and sizes of heads, some of which see a window, next to each other and not.
KvGeometry mixed(const char* policy, std::uint32_t block_tokens = 32) {
  return {{{2, 64}, {1, 128, true}, {3, 64, true}, {1, 16}, {4, 32}, {2, 256, true}}, block_tokens, format_of(policy)};
}

std::size_t layer_size(const KvGeometry& geometry, std::size_t layer) {
  const KvLayer& heads = geometry.layers[layer];
  return heads.n_kv_heads * KvArena::head_size(heads.head_dim, geometry.block_tokens, geometry.format);
}

/// Bytes of a part of a block that differ from those of others.
std::vector<std::byte> bytes_of(std::size_t n, std::size_t seed) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(1 + (i * 31 + seed * 101) % 251);
  return bytes;
}

class KvArenaOfMixedLayers : public testing::TestWithParam<const char*> {
 protected:
  static constexpr std::int32_t kBlocks = 5;

  void fill(std::int32_t block) const { arena_.write_block(block, bytes_of(bytes_.total(), std::size_t(block))); }
  /// Whether a block's layers of a kind hold what fill() gave them.
  bool holds(std::int32_t block, bool windowed) const {
    std::vector<std::byte> read(bytes_.total());
    arena_.read_block(block, read);
    const auto given = bytes_of(bytes_.total(), std::size_t(block));
    std::size_t at = 0;
    bool same = true;
    for (std::size_t i = 0; i < geometry_.layers.size(); at += layer_size(geometry_, i++)) {
      if (geometry_.layers[i].windowed != windowed) continue;
      same &= std::memcmp(read.data() + at, given.data() + at, layer_size(geometry_, i)) == 0;
    }
    return same;
  }

  const KvGeometry geometry_ = mixed(GetParam());
  const KvBlockBytes bytes_ = KvArena::block_bytes(geometry_);
  const KvArena arena_{geometry_, kBlocks};
};

TEST_P(KvArenaOfMixedLayers, CountsTheBytesOfEitherKind) {
  std::uint64_t full = 0;
  std::uint64_t windowed = 0;
  for (std::size_t i = 0; i < geometry_.layers.size(); ++i) {
    (geometry_.layers[i].windowed ? windowed : full) += layer_size(geometry_, i);
  }
  EXPECT_EQ(bytes_.full, full);
  EXPECT_EQ(bytes_.windowed, windowed);
  EXPECT_EQ(bytes_.total(), full + windowed);
}

TEST_P(KvArenaOfMixedLayers, HasEachHeadAtAPlaceOfItsOwn) {
  std::vector<std::pair<const std::byte*, const std::byte*>> heads;
  for (std::int32_t block = 0; block < kBlocks; ++block) {
    for (std::uint32_t layer = 0; layer < geometry_.layers.size(); ++layer) {
      const KvLayer& shape = geometry_.layers[layer];
      const std::size_t size = KvArena::head_size(shape.head_dim, geometry_.block_tokens, geometry_.format);
      for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
        const std::byte* first = arena_.head_bytes(block, layer, head);
        heads.emplace_back(first, first + size);
      }
    }
  }
  std::ranges::sort(heads);
  for (std::size_t i = 1; i < heads.size(); ++i) EXPECT_LE(heads[i - 1].second, heads[i].first) << i;
}

TEST_P(KvArenaOfMixedLayers, ReadsLayerAfterLayerWhateverRegionTheyLieIn) {
  fill(3);
  const auto given = bytes_of(bytes_.total(), 3);
  std::size_t at = 0;
  for (std::uint32_t layer = 0; layer < geometry_.layers.size(); at += layer_size(geometry_, layer++)) {
    EXPECT_EQ(std::memcmp(arena_.head_bytes(3, layer, 0), given.data() + at, layer_size(geometry_, layer)), 0) << layer;
  }
  arena_.copy_block(3, 1);
  std::vector<std::byte> read(bytes_.total());
  arena_.read_block(1, read);
  EXPECT_EQ(read, given);
  read.pop_back();
  EXPECT_THROW(arena_.read_block(1, read), std::invalid_argument);
  EXPECT_THROW(arena_.write_block(1, read), std::invalid_argument);
}

TEST_P(KvArenaOfMixedLayers, FindsTheCentresOfEachLayersHeads) {
  std::vector<float> centres;
  for (std::size_t i = 0; i < geometry_.layers.size(); ++i) {
    for (std::uint32_t n = geometry_.layers[i].n_kv_heads * geometry_.layers[i].head_dim; n > 0; --n) {
      centres.push_back(static_cast<float>(centres.size()));
    }
  }
  const KvArena arena(geometry_, 1, {centres, {}, {}, {}});
  float next = 0;
  for (std::uint32_t layer = 0; layer < geometry_.layers.size(); ++layer) {
    for (std::uint32_t head = 0; head < geometry_.layers[layer].n_kv_heads; ++head) {
      EXPECT_EQ(*arena.centre(layer, head), next);
      next += static_cast<float>(geometry_.layers[layer].head_dim);
    }
  }
  EXPECT_EQ(arena_.centre(0, 0), nullptr);
}

TEST_P(KvArenaOfMixedLayers, GivesBackPartsAndBlocksAndNothingOfOthers) {
  for (std::int32_t block = 0; block < kBlocks; ++block) fill(block);
  const std::int32_t blocks[] = {4};
  const std::int32_t windows[] = {1, 2};
  arena_.give_back(blocks, windows);
  for (std::int32_t block = 0; block < kBlocks; ++block) {
    EXPECT_EQ(holds(block, true), block == 0 || block == 3) << block;
    EXPECT_EQ(holds(block, false), block != 4) << block;
  }
  for (std::int32_t block = 0; block < kBlocks; ++block) fill(block);
  for (std::int32_t block = 0; block < kBlocks; ++block) EXPECT_TRUE(holds(block, true) && holds(block, false));
}

INSTANTIATE_TEST_SUITE_P(Formats, KvArenaOfMixedLayers, testing::Values("0", "8", "4", "k8v4"),
                         [](const auto& test) { return std::string("Kv") + test.param; });

/// Bytes of [first, first + bytes) that have memory.
std::size_t resident(const std::byte* first, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t past = reinterpret_cast<std::uintptr_t>(first) % page;
  const std::size_t n = (past + bytes + page - 1) / page;
  std::vector<unsigned char> pages(n);
  if (mincore(const_cast<std::byte*>(first) - past, n * page, pages.data()) != 0) return ~std::size_t{0};
  return page * static_cast<std::size_t>(std::ranges::count_if(pages, [](unsigned char p) { return (p & 1U) != 0; }));
}

TEST(KvArena, TakesMemoryOfWindowedLayersForTheBlocksAloneThatWereNotGivenBack) {
  for (const char* policy : {"0", "4"}) {
    const KvGeometry geometry{{{1, 64}, {2, 64, true}, {2, 64, true}}, 32, format_of(policy)};
    const KvBlockBytes bytes = KvArena::block_bytes(geometry);
    constexpr std::int32_t kBlocks = 64;
    const KvArena arena(geometry, kBlocks);
    const std::byte* windows = arena.head_bytes(0, 1, 0);
    const auto stride = static_cast<std::size_t>(arena.head_bytes(1, 1, 0) - windows);
    const std::size_t all = arena.head_bytes(kBlocks - 1, 1, 0) + stride - windows;
    EXPECT_EQ(resident(windows, all), 0U);
    // As a sequence walks on, the block four before goes.
    std::size_t most = 0;
    for (std::int32_t block = 0; block < kBlocks; ++block) {
      arena.write_block(block, std::vector<std::byte>(bytes.total(), std::byte{1}));
      const std::int32_t out[] = {block - 4};
      if (block >= 4) arena.give_back({}, out);
      most = std::max(most, resident(windows, all));
    }
    EXPECT_EQ(most, 4 * stride) << policy;
    EXPECT_LT(stride - bytes.windowed, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
    EXPECT_GE(resident(arena.head_bytes(0, 0, 0), kBlocks * bytes.full), kBlocks * bytes.full);
  }
}

TEST(KvArena, NeedsNoRegionForAKindOfLayerThatIsNotThere) {
  const KvArena windowed({{{1, 64, true}}, 32}, 4);
  EXPECT_TRUE(windowed.lasting_memory().empty());
  const KvArena full({{{1, 64}}, 32}, 4);
  EXPECT_EQ(full.lasting_memory().size(), 4 * KvArena::block_bytes(full.geometry()).full);
  for (const KvArena* arena : {&windowed, &full}) {
    const auto given = bytes_of(KvArena::block_bytes(arena->geometry()).total(), 1);
    arena->write_block(2, given);
    std::vector<std::byte> read(given.size());
    arena->read_block(2, read);
    EXPECT_EQ(read, given);
    const std::int32_t blocks[] = {2};
    arena->give_back(blocks, blocks);
    arena->read_block(2, read);
    EXPECT_NE(read, given);
  }
}

}  // namespace
}  // namespace headwater::kernels::cpu
