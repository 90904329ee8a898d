#include "base/trace.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace headwater::trace {
namespace {

std::string written() {
  const std::string path = testing::TempDir() + "headwater_trace_" + std::to_string(getpid()) + ".json";
  EXPECT_TRUE(write(path));
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  std::filesystem::remove(path);
  return text.str();
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++n;
  return n;
}

TEST(Trace, KeepsSpansOfEveryThreadWithTheirCounts) {
  start();
  { const Span outer("outer", 7); }
  std::thread([] {
    name_thread("helper");
    const Span inner("inner");
  }).join();
  const std::string text = written();
  EXPECT_EQ(count(text, "\"name\":\"outer\""), 1U) << text;
  EXPECT_EQ(count(text, "\"count\":7"), 1U) << text;
  EXPECT_EQ(count(text, "\"name\":\"inner\""), 1U) << text;
  EXPECT_EQ(count(text, "\"args\":{\"name\":\"helper\"}"), 1U) << text;
}

TEST(Trace, CountsWhatItHasNoRoomFor) {
  start(2);
  for (int i = 0; i < 5; ++i) const Span span("some");
  const std::string text = written();
  EXPECT_EQ(count(text, "\"ph\":\"X\""), 2U) << text;
  EXPECT_NE(text.find("\"spans_left_out\":3"), std::string::npos) << text;
}

TEST(Trace, RecordsNothingUnlessStarted) {
  start();
  written();
  { const Span span("late"); }
  EXPECT_EQ(count(written(), "late"), 0U);
}

TEST(Trace, SaysWhenTheFileCannotBeWritten) {
  start();
  EXPECT_FALSE(write("/nowhere/at/all.json"));
}

}  // namespace
}  // namespace headwater::trace
