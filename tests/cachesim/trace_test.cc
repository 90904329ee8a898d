#include "tools/cachesim/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::cachesim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string line(const std::string& ids, const std::string& timestamp = "0") {
  return R"({"timestamp": )" + timestamp + R"(, "input_length": 600, "output_length": 5, "hash_ids": )" + ids + "}\n";
}

std::string error_of(const std::string& text) {
  const auto trace = parse_trace(text, "t.jsonl");
  return trace ? "no error" : trace.error().message;
}

TEST(Trace, NumbersBlocksInTheOrderInWhichTheyAppear) {
  const auto trace = parse_trace(line("[7, 9223372036854775807]") + "\n" + line("[7, 3]", "2"), "t.jsonl");
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->requests.size(), 2U);
  EXPECT_THAT(trace->requests[0].blocks, ElementsAre(0, 1));
  EXPECT_THAT(trace->requests[1].blocks, ElementsAre(0, 2));
  EXPECT_EQ(trace->distinct_blocks, 3U);
  EXPECT_EQ(trace->total_blocks, 4U);
  EXPECT_EQ(trace->requests[1].at, 2'000'000);
}

TEST(Trace, LetsRequestsOfTheSameMillisecondFollowEachOther) {
  const auto trace = parse_trace(line("[1]", "5") + line("[2]", "5"), "t.jsonl");
  ASSERT_TRUE(trace);
  EXPECT_LT(trace->requests[0].at, trace->requests[1].at);
}

TEST(Trace, SaysInWhichLineAndFieldAMistakeIs) {
  EXPECT_EQ(error_of(line("[1]") + "{"), "t.jsonl:2: this line is not JSON");
  EXPECT_EQ(error_of("[1]"), "t.jsonl:1: this line is not a JSON object");
  EXPECT_EQ(error_of(R"({"timestamp": 0, "input_length": 1, "output_length": 1})"), "t.jsonl:1: no \"hash_ids\"");
  EXPECT_THAT(error_of(line("[1, -2]")), HasSubstr("t.jsonl:1: \"hash_ids[1]\" is not what was expected, a whole"));
  EXPECT_THAT(error_of(line("[1.5]")), HasSubstr("\"hash_ids[0]\""));
  EXPECT_THAT(error_of(line("[18446744073709551615]")), HasSubstr("\"hash_ids[0]\""));
  EXPECT_THAT(error_of(line("{}")), HasSubstr("\"hash_ids\" is not what was expected, an array"));
  EXPECT_THAT(error_of(line("[1]", "-1")), HasSubstr("\"timestamp\""));
  EXPECT_THAT(error_of(line("[1]", "1e300")), HasSubstr("\"timestamp\""));
  EXPECT_THAT(error_of(line("[1]", "9") + line("[1]", "8")), HasSubstr("t.jsonl:2: \"timestamp\" is 8, before the 9"));
}

TEST(Trace, RefusesATraceWithoutBlocks) {
  EXPECT_THAT(error_of(""), HasSubstr("t.jsonl: no request"));
  EXPECT_THAT(error_of(line("[]")), HasSubstr("t.jsonl: no request"));
}

}  // namespace
}  // namespace headwater::cachesim
