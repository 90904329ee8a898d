#include "tools/eval/decode_speed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/models.h"

namespace headwater::eval {
namespace {

using testing::ElementsAre;

/// Notes the formats and the positions that are computed one by one.
struct NotingModel : TableModel {
  NotingModel() : TableModel(4, {{0, 0, 0, 0}}) {}
  void allocate_kv(std::uint32_t n_blocks, std::uint32_t block_tokens, const kernels::KvFormat& format) override {
    bits.push_back(format.key_bits);
    room = kernels::block_grid(format, block_tokens).begin(n_blocks);
    holds.assign(n_blocks, false);
  }
  void copy_kv_block(std::int32_t from, std::int32_t to) override {
    EXPECT_NE(from, 0) << "the first block is not like the others";
    EXPECT_TRUE(holds.at(static_cast<std::size_t>(from)));
    holds.at(static_cast<std::size_t>(to)) = true;
  }
  std::span<float> forward(const model::Batch& batch) override {
    const model::BatchSequence& rows = batch.sequences[0];
    EXPECT_LE(rows.first_position + rows.n_rows, room);
    if (rows.first_position == 0) {
      for (std::uint32_t at = 0; at < rows.n_rows; at += 8) holds.at(at / 32) = true;
    }
    if (rows.n_rows == 1) {
      decoded.push_back(rows.first_position);
      for (std::uint32_t at = 0; at < rows.first_position; at += 32) EXPECT_TRUE(holds.at(at / 32)) << at;
    }
    seconds += 0.5;
    return TableModel::forward(batch);
  }

  std::vector<int> bits;
  std::vector<std::uint32_t> decoded;
  std::vector<bool> holds;
  std::uint32_t room = 0;
  double seconds = 0;
};

TEST(DecodeSpeed, MeasuresFormatsInTurnsBehindAFullContext) {
  NotingModel model;
  const std::vector<kernels::KvFormat> formats = {{}, {.key_bits = 8, .value_bits = 8}};
  std::size_t told = 0;
  const auto speeds = decode_speeds(
      model, formats, {.context = 1000, .steps = 3, .rounds = 2}, [&] { return model.seconds; }, [&] { ++told; });
  EXPECT_THAT(speeds, ElementsAre(ElementsAre(2, 2), ElementsAre(2, 2)));
  EXPECT_EQ(told, 4U);
  EXPECT_THAT(model.bits, ElementsAre(16, 8, 16, 8));
  ASSERT_EQ(model.decoded.size(), 16U);
  model.decoded.resize(4);
  EXPECT_THAT(model.decoded, ElementsAre(1000, 1001, 1002, 1003));
}

TEST(DecodeSpeed, HasRoomWhereTheFirstBlockHoldsFewerTokens) {
  NotingModel model;
  const kernels::KvFormat format{.key_bits = 4, .value_bits = 4, .first_in_8_bits = true};
  for (const std::uint32_t context : {1U, 2U, 17U, 100U, 144U, 200U, 1000U}) {
    const auto speeds = decode_speeds(model, {&format, 1}, {.context = context, .steps = 9, .rounds = 1},
                                      [&] { return model.seconds; });
    EXPECT_THAT(speeds, ElementsAre(ElementsAre(2))) << context;
  }
}

}  // namespace
}  // namespace headwater::eval
