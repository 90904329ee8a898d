#include "tools/eval/kv_room.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

/// Blocks of 320 bytes, and as many in window layers, where there are some.
struct SizedModel : test::FakeModel {
  explicit SizedModel(std::uint32_t window = 0) : FakeModel(300, 4096, window) {}
  kernels::KvBlockBytes kv_block_bytes(std::uint32_t block_tokens, const kernels::KvFormat& format) const override {
    if (format.value_bits == 4 && format.key_bits == 8) throw std::invalid_argument("no such heads");
    return {block_tokens * 10, shape().kv_window > 0 ? block_tokens * 10 : 0};
  }
};

KvRoom room_of(const SizedModel& model, const kernels::KvFormat& format, std::uint64_t memory) {
  const auto room = kv_room(model, format, memory);
  EXPECT_TRUE(room.has_value());
  return room.value_or(KvRoom{});
}

TEST(KvRoom, CountsWholeBlocks) {
  const KvRoom room = room_of(SizedModel(), {}, 3199);
  EXPECT_EQ(room.tokens, 9U * 32U);
  EXPECT_EQ(room.bytes_per_token, 10);
  EXPECT_EQ(room_of(SizedModel(), {}, 319).tokens, 0U);
}

TEST(KvRoom, CountsFewerTokensInAFirstBlockOfMoreBits) {
  const kernels::KvFormat format{.key_bits = 4, .value_bits = 4, .first_in_8_bits = true};
  const KvRoom room = room_of(SizedModel(), format, 3200);
  EXPECT_EQ(room.tokens, 10U * 32U - 16U);
  EXPECT_EQ(room.bytes_per_token, 10);
}

TEST(KvRoom, HoldsMoreWhereLayersSeeAWindow) {
  // Of 64,000 bytes a sequence has window rows for 32 + 2 · 512 tokens and two blocks: 35 blocks of 320 bytes.
  const KvRoom room = room_of(SizedModel(32), {}, 64000);
  EXPECT_EQ(room.tokens, (64000U - 35U * 320U) / 320U * 32U);
  EXPECT_DOUBLE_EQ(room.bytes_per_token, 64000.0 / static_cast<double>(room.tokens));
}

TEST(KvRoom, IsNoneWhereTheFormatCannotHoldTheHeads) {
  EXPECT_FALSE(kv_room(SizedModel(), {.key_bits = 8, .value_bits = 4}, 1 << 20).has_value());
}

}  // namespace
}  // namespace headwater::eval
