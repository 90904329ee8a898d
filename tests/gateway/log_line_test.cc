#include "gateway/log_line.h"

#include <gtest/gtest.h>

#include "gateway/json_text.h"
#include "tests/gateway/captured_log.h"

namespace headwater::gateway {
namespace {

LogLine sample() {
  return LogLine("request")
      .add("id", "a-1")
      .add("said", "two \"words\"\n")
      .add("none", "")
      .add("n", std::uint64_t{7})
      .add("ms", 1.25);
}

TEST(LogLine, IsWrittenAsTextWithQuotesWhereTheyAreNeeded) {
  EXPECT_EQ(sample().text(), "request id=a-1 said=\"two \\\"words\\\"\\n\" n=7 ms=1.2");
}

TEST(LogLine, IsAnObjectWhereTheLogIsJson) {
  const test::CapturedLog log(LogFormat::json);
  sample().write(LogLevel::info);
  ASSERT_EQ(log.lines().size(), 1U);
  const auto line = Json::parse(log.lines()[0]);
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["event"], "request");
  EXPECT_EQ(line["id"], "a-1");
  EXPECT_EQ(line["said"], "two \"words\"\n");
  EXPECT_EQ(line["n"], 7);
  EXPECT_EQ(line["time"].get<std::string>().size(), std::string("2026-01-01T00:00:00.000Z").size());
}

TEST(LogLine, StandsBesidePlainSentencesThatAreObjectsToo) {
  const test::CapturedLog log(LogFormat::json);
  spdlog::warn("a \"sentence\" with a {} in it\n", "\x01");
  ASSERT_EQ(log.lines().size(), 1U);
  const auto line = Json::parse(log.lines()[0]);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "a \"sentence\" with a \x01 in it\n");
}

TEST(LogLine, IsNotWrittenBelowTheLevelOfTheLog) {
  const test::CapturedLog log(LogFormat::text, spdlog::level::info);
  sample().write(LogLevel::debug);
  EXPECT_TRUE(log.lines().empty());
  sample().write(LogLevel::warn);
  EXPECT_EQ(log.lines().size(), 1U);
}

}  // namespace
}  // namespace headwater::gateway
