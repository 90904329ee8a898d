#include "cache/tier/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cache/tier/blocks.h"

namespace headwater::cache {
namespace {

using testing::HasSubstr;

TEST(Record, GivesTheBytesOfTheBlockThatWasWritten) {
  const TierBlock block = block_of(1);
  const auto record = record_of(block);
  const auto bytes = check_record(record, block.name, 1000);
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  EXPECT_TRUE(std::ranges::equal(*bytes, block.bytes->bytes()));
}

TEST(Record, RefusesARecordInWhichAnyByteIsAnother) {
  const TierBlock block = block_of(1, {}, 200);
  auto record = record_of(block);
  for (std::byte& byte : record) {
    byte ^= std::byte{4};
    EXPECT_FALSE(check_record(record, block.name, 200).ok());
    byte ^= std::byte{4};
  }
  EXPECT_TRUE(check_record(record, block.name, 200).ok());
}

TEST(Record, SaysWhatDoesNotAgree) {
  const TierBlock block = block_of(1);
  const auto record = record_of(block);
  const auto why = [&](std::span<const std::byte> found, const BlockName& name, std::uint64_t bytes = 1000) {
    return check_record(found, name, bytes).error().message;
  };
  BlockName name = block.name;
  name.key[31] ^= 1;
  EXPECT_THAT(why(record, name), HasSubstr("key"));
  name = block.name;
  name.parent[0] ^= 1;
  EXPECT_THAT(why(record, name), HasSubstr("parent"));
  name = block.name;
  ++name.tokens.back();
  EXPECT_THAT(why(record, name), HasSubstr("tokens"));
  name.tokens.pop_back();
  EXPECT_THAT(why(record, name), HasSubstr("size"));
  EXPECT_THAT(why(record, block.name, 999), HasSubstr("size"));
  for (std::size_t size = 0; size < record.size(); ++size) {
    EXPECT_THAT(why(std::span(record).first(size), block.name), HasSubstr("size"));
  }
  auto other = record;
  other[4] = std::byte{kRecordVersion + 1};
  EXPECT_THAT(why(other, block.name), HasSubstr("version"));
  other = record;
  other.back() ^= std::byte{1};
  EXPECT_THAT(why(other, block.name), HasSubstr("checksum"));
}

}  // namespace
}  // namespace headwater::cache
