// What a decoder learns of its keys, and keeps beside its file.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/kv_maps_file.h"
#include "model/kv_maps_finder.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

kernels::KvFormat format_of(const char* policy) {
  return kernels::parse_quant_policy(policy).value_or(kernels::KvFormat{});
}

TEST(DecoderMaps, AnswersInTheFormatsOfBeforeWhenItIsSettled) {
  const test::TemporaryFile file(test::tiny_llama({}).bytes());
  const auto model = Architecture::load(GgufFile::open(file.path()).value(), kernels::make_cpu_backend(2)).value();
  const kernels::KvFormat format = format_of("8");
  const std::string name = model->numerics(format);
  model->settle();
  EXPECT_EQ(model->numerics(format), name);
  // Whoever asks for another all the same is served.
  EXPECT_NE(model->numerics(format_of("8-nobalance")), name);
  const auto plain = Architecture::load(GgufFile::open(file.path()).value(), kernels::make_cpu_backend(2)).value();
  plain->settle();
  EXPECT_NO_THROW(plain->allocate_kv(2, 32, format));
}

TEST(DecoderMaps, KeepsMapsBesideALargeFileAndReadsThemTheNextTime) {
  const test::TemporaryFile file(test::tiny_llama({}).bytes());
  std::filesystem::resize_file(file.path(), kLeastBytesKept);  // zeros that take no room
  const std::string kept = kv_maps_path(file.path());
  std::vector<std::string> told;
  const auto numerics = [&] {
    told.clear();
    const auto tell = [&](bool /*warning*/, const std::string& sentence) { told.push_back(sentence); };
    const auto model =
        Architecture::load(GgufFile::open(file.path()).value(), kernels::make_cpu_backend(2), 0, tell).value();
    return model->numerics(format_of("8"));
  };
  const std::string first = numerics();
  EXPECT_EQ(told.size(), 2U);
  EXPECT_TRUE(std::filesystem::exists(kept));
  EXPECT_EQ(numerics(), first);
  EXPECT_EQ(told.size(), 0U);
  std::filesystem::remove(kept);
}

}  // namespace
}  // namespace headwater::model
