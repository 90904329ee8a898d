#include "model/sha256.h"

#include <gtest/gtest.h>

#include <string_view>

namespace headwater::model {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Sha256, IsThatOfTheBytesInAnyPieces) {
  // FIPS 180-2, appendix B.1.
  const Sha256Digest abc = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                            0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                            0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
  EXPECT_EQ(Sha256().add(bytes("abc")).finish(), abc);
  EXPECT_EQ(Sha256().add(bytes("a")).add(bytes("")).add(bytes("bc")).finish(), abc);
}

TEST(Sha256, TellsWhereOneListEndsAndTheNextBegins) {
  const std::vector<float> one = {1}, two = {1, 2};
  EXPECT_NE(Sha256().add_all(one).add_all(two).finish(), Sha256().add_all(two).add_all(one).finish());
}

}  // namespace
}  // namespace headwater::model
