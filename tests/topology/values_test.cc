#include "topology/values.h"

#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::HasSubstr;

std::optional<ArgValue> read(const std::string& text, const ArgSpec& spec, std::string* said = nullptr) {
  Problems problems;
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = text;
  auto value = read_value(node, spec, problems);
  const auto list = std::move(problems).sorted();
  EXPECT_EQ(value.has_value(), list.empty());
  if (said != nullptr && !list.empty()) *said = list.front().message;
  return value;
}

TEST(Values, SizesTakeDecimalAndBinaryUnits) {
  EXPECT_EQ(*parse_size("2GiB"), std::uint64_t{2} << 30);
  EXPECT_EQ(*parse_size("512MiB"), std::uint64_t{512} << 20);
  EXPECT_EQ(*parse_size("1.5GiB"), std::uint64_t{3} << 29);
  EXPECT_EQ(*parse_size("2GB"), 2'000'000'000U);
  EXPECT_EQ(*parse_size("2 GB"), 2'000'000'000U);
  EXPECT_EQ(*parse_size("1KB"), 1000U);
  EXPECT_EQ(*parse_size("4096"), 4096U);
  EXPECT_EQ(*parse_size("7B"), 7U);
}

TEST(Values, SizesThatMeanNothingAreRefused) {
  for (const char* text :
       {"", "GiB", "2gib", "2G", "-1GiB", "1e3MiB", "1..5GiB", "99999999999GiB", "nanGiB", "2GiBx"}) {
    EXPECT_FALSE(parse_size(text).ok()) << text;
  }
}

TEST(Values, ACacheLimitIsAShareOrASize) {
  const ArgSpec spec{.name = "limit", .type = ArgType::size_or_share};
  EXPECT_DOUBLE_EQ(std::get<SizeOrShare>(*read("0.6", spec)).share, 0.6);
  EXPECT_DOUBLE_EQ(std::get<SizeOrShare>(*read("1", spec)).share, 1.0);
  EXPECT_EQ(std::get<SizeOrShare>(*read("1MiB", spec)).bytes, 1U << 20);
  std::string said;
  for (const char* text : {"0", "0.0", "-0.5", "nan", "inf", "60%", "1023KiB", ""}) {
    EXPECT_FALSE(read(text, spec, &said).has_value()) << text;
    EXPECT_THAT(said, HasSubstr("at least 1MiB")) << text;
  }
  EXPECT_FALSE(read("2", spec, &said).has_value());
  EXPECT_THAT(said, HasSubstr("this number has no unit"));
}

TEST(Values, DurationsAreMillisecondsAndNeedAUnit) {
  const ArgSpec spec{.name = "ttl", .type = ArgType::duration, .min = 0, .max = 3'600'000};
  EXPECT_EQ(std::get<std::int64_t>(*read("300s", spec)), 300'000);
  EXPECT_EQ(std::get<std::int64_t>(*read("5m", spec)), 300'000);
  EXPECT_EQ(std::get<std::int64_t>(*read("250ms", spec)), 250);
  EXPECT_EQ(std::get<std::int64_t>(*read("1h", spec)), 3'600'000);
  EXPECT_EQ(std::get<std::int64_t>(*read("0", spec)), 0);
  std::string said;
  for (const char* text : {"300", "5min", "61m", "-1s", "s", ""})
    EXPECT_FALSE(read(text, spec, &said).has_value()) << text;
  EXPECT_THAT(said, HasSubstr("a time with its unit (ms, s, m or h) such as 300s, from 0 to 1h"));
}

TEST(Values, NumbersAreFiniteAndInRange) {
  const ArgSpec spec{.name = "share", .type = ArgType::number, .min = 0, .max = 1};
  EXPECT_DOUBLE_EQ(std::get<double>(*read("0.8", spec)), 0.8);
  for (const char* text : {"nan", "inf", "1.1", "-0.1", "0.8x", ""}) EXPECT_FALSE(read(text, spec).has_value()) << text;
}

TEST(Values, ListenTakesNamesAndBothKindsOfAddresses) {
  const auto parsed = [](const char* text) { return parse_listen(text).value(); };
  EXPECT_EQ(parsed("127.0.0.1:8080"), std::pair(std::string("127.0.0.1"), std::uint16_t{8080}));
  EXPECT_EQ(parsed("[::1]:0"), std::pair(std::string("::1"), std::uint16_t{0}));
  EXPECT_EQ(parsed("llm.example:65535"), std::pair(std::string("llm.example"), std::uint16_t{65535}));
  for (const char* text : {"", "8080", ":8080", "localhost", "localhost:", "::1:80", "[]:80", "a b:80", "h:-1", "h:1x",
                           "h:65536", "http://h:80"}) {
    EXPECT_FALSE(parse_listen(text).ok()) << text;
  }
  EXPECT_EQ(parse_listen("h:65536").error().message, "port 65536 is above 65535");
}

TEST(Values, RoundSizesAreWrittenWithTheirUnit) {
  EXPECT_EQ(size_text(1), "1 byte");
  EXPECT_EQ(size_text(1000), "1000 bytes");
  EXPECT_EQ(size_text(1 << 20), "1MiB");
  EXPECT_EQ(size_text(std::uint64_t{3} << 30), "3GiB");
}

}  // namespace
}  // namespace headwater::topology
