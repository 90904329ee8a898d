#include "tools/cachesim/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headwater::cachesim {
namespace {

TEST(Chart, IsAPng) {
  const std::string png = png_of({"title", "x", "y", {"1%", "3%"}, {{"a", {0.1, 0.2}}, {"b", {0.3, 0.1}}}});
  EXPECT_THAT(png, testing::StartsWith("\x89PNG\r\n\x1a\n"));
  EXPECT_GT(png.size(), 1000U);
}

TEST(Chart, ShowsItsValues) {
  const auto with = [](double value) {
    return png_of({"t", "x", "y", {"1", "2"}, {{"a", {0.1, value}}, {"b", {1, 1}}}});
  };
  EXPECT_EQ(with(0.5), with(0.5));
  EXPECT_NE(with(0.5), with(0.6));
}

TEST(Chart, BearsWhatIsUnusual) {
  EXPECT_FALSE(png_of({"", "", "", {"1"}, {{"zero", {0}}}}).empty());
  EXPECT_FALSE(png_of({"", "", "", {"1"}, {{std::string(5000, '%'), {1e9}}}}).empty());
  EXPECT_FALSE(png_of({"\xC3\xA4\n", "", "", {"1"}, std::vector<Line>(40, {"many", {0.5}})}).empty());
}

}  // namespace
}  // namespace headwater::cachesim
