#include "cache/tier/checksum.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace headwater::cache {
namespace {

std::uint64_t sum(std::string_view text, std::uint64_t seed = 0) {
  return xxh64(std::as_bytes(std::span(text.data(), text.size())), seed);
}

TEST(Checksum, IsXxh64) {
  EXPECT_EQ(sum(""), 0xEF46DB3751D8E999U);
  EXPECT_EQ(sum("a"), 0xD24EC4F1A98C6E5BU);
  EXPECT_EQ(sum("abc"), 0x44BC2CF5AD770999U);
  EXPECT_EQ(sum("", 1), 0xD5AFBA1336A3BE4BU);
  EXPECT_EQ(sum("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1U);
}

TEST(Checksum, DependsOnEveryBit) {
  std::string text(97, 'x');
  const std::uint64_t whole = sum(text);
  for (char& letter : text) {
    for (int bit = 0; bit < 8; ++bit) {
      letter = static_cast<char>(letter ^ (1 << bit));
      EXPECT_NE(sum(text), whole);
      letter = static_cast<char>(letter ^ (1 << bit));
    }
  }
  EXPECT_NE(sum(text, 1), whole);
}

}  // namespace
}  // namespace headwater::cache
