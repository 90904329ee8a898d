#include "gateway/unknown_fields.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

IgnoredFields of(const std::string& name, const std::string& meant = "") { return {{{name, meant}}}; }

TEST(UnknownFields, AreToldOnceEach) {
  UnknownFields unknown;
  const auto lines = unknown.news(of("temprature", "temperature"));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0],
            "ignored an unknown field of a request, \"temprature\" (did you mean \"temperature\"?); this is said once. "
            "With --strict-fields such requests are refused");
  EXPECT_TRUE(unknown.news(of("temprature")).empty());
  EXPECT_EQ(unknown.news(of("other")).size(), 1U);
  EXPECT_TRUE(unknown.news({}).empty());
}

TEST(UnknownFields, NeverFillTheLog) {
  UnknownFields unknown;
  std::size_t lines = 0;
  for (int i = 0; i < 10'000; ++i) lines += unknown.news(of("f" + std::to_string(i))).size();
  EXPECT_EQ(lines, UnknownFields::kMostNames + 1);
}

TEST(UnknownFields, CannotForgeALineOfTheLog) {
  UnknownFields unknown;
  const std::string line = unknown.news(of("x\n[error] on fire\x1b[2J")).at(0);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace headwater::gateway
