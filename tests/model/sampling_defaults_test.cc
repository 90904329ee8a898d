#include "model/sampling_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SamplingDefaults defaults_of(const test::GgufWriter& writer) {
  const test::TemporaryFile bytes(writer.bytes());
  const auto file = GgufFile::open(bytes.path());
  EXPECT_TRUE(file) << file.error().message;
  return sampling_defaults(**file);
}

TEST(SamplingDefaults, AreTheUsualOnesWhereTheFileNamesNone) {
  const SamplingDefaults defaults = defaults_of(test::GgufWriter());
  EXPECT_EQ(defaults.params.temperature, 1);
  EXPECT_EQ(defaults.params.top_k, 0U);
  EXPECT_EQ(defaults.params.top_p, 1);
  EXPECT_EQ(defaults.params.min_p, 0);
  EXPECT_THAT(defaults.warnings, IsEmpty());
  EXPECT_EQ(describe_defaults(defaults.params), "temperature 1");
}

TEST(SamplingDefaults, AreTheFilesWhereItNamesThem) {
  test::GgufWriter writer;
  writer.add_f32("general.sampling.temp", 0.6F).add_i32("general.sampling.top_k", 20);
  writer.add_f32("general.sampling.top_p", 0.95F).add_f32("general.sampling.min_p", 0.05F);
  const SamplingDefaults defaults = defaults_of(writer);
  EXPECT_EQ(defaults.params.temperature, 0.6F);
  EXPECT_EQ(defaults.params.top_k, 20U);
  EXPECT_EQ(defaults.params.top_p, 0.95F);
  EXPECT_EQ(defaults.params.min_p, 0.05F);
  EXPECT_THAT(defaults.warnings, IsEmpty());
  EXPECT_EQ(describe_defaults(defaults.params), "temperature 0.6, top_k 20, top_p 0.95, min_p 0.05");
}

TEST(SamplingDefaults, TakeWholeNumbersOfAnyWidthAndMinusOneForAllTokens) {
  test::GgufWriter writer;
  writer.add_u32("general.sampling.temp", 0).add_i32("general.sampling.top_k", -1).add_u32("general.sampling.top_p", 1);
  const SamplingDefaults defaults = defaults_of(writer);
  EXPECT_EQ(defaults.params.temperature, 0);
  EXPECT_EQ(defaults.params.top_k, 0U);
  EXPECT_THAT(defaults.warnings, IsEmpty());
}

TEST(SamplingDefaults, LeaveOutWhatNoRequestMayAskForAndSaySo) {
  for (const float hostile : {std::nanf(""), -1.0F, 1e30F, std::numeric_limits<float>::infinity()}) {
    test::GgufWriter writer;
    writer.add_f32("general.sampling.temp", hostile);
    const SamplingDefaults defaults = defaults_of(writer);
    EXPECT_EQ(defaults.params.temperature, 1) << hostile;
    EXPECT_THAT(defaults.warnings, ElementsAre(HasSubstr("general.sampling.temp"))) << hostile;
  }
  test::GgufWriter writer;
  writer.add_string("general.sampling.temp", "hot").add_f32("general.sampling.top_k", 2.5F);
  writer.add_f32("general.sampling.top_p", 0).add_bool("general.sampling.min_p", true);
  const SamplingDefaults defaults = defaults_of(writer);
  EXPECT_EQ(describe_defaults(defaults.params), "temperature 1");
  EXPECT_THAT(
      defaults.warnings,
      ElementsAre(HasSubstr("temp is no number, which no request may ask for; where a request names none it is 1"),
                  HasSubstr("top_k is 2.5"), HasSubstr("top_p is 0"), HasSubstr("min_p is no number")));
}

}  // namespace
}  // namespace headwater::model
