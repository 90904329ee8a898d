#include "model/weight_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "model/model_info.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class WeightMemory : public testing::Test {
 protected:
  void open(kernels::DType type) {
    path_ = std::make_unique<test::TemporaryFile>(test::tiny_llama({.type = type}).bytes());
    auto opened = GgufFile::open(path_->path());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    file_ = *opened;
  }
  std::uint64_t takes(kernels::Precision precision = kernels::Precision::fast) const {
    return Architecture::weight_bytes(*file_, *kernels::make_cpu_backend(1, precision));
  }
  std::string refusal(std::uint64_t available, kernels::Precision precision = kernels::Precision::fast) const {
    const auto backend = kernels::make_cpu_backend(1, precision);
    const auto fits = check_weight_memory(*file_, *backend,
                                          {{"ulimit -v", std::uint64_t{1} << 40U, std::uint64_t{1} << 40U},
                                           {"the machine", std::uint64_t{1} << 33U, available}});
    return fits ? "" : fits.error().message;
  }

  std::unique_ptr<test::TemporaryFile> path_;
  std::shared_ptr<const GgufFile> file_;
};

TEST_F(WeightMemory, IsHeldAgainstTheLeastOfTheLimits) {
  open(kernels::DType::f32);
  EXPECT_EQ(refusal(takes()), "");
  EXPECT_THAT(refusal(takes() - 1),
              StartsWith(path_->path() + ": the weights take " + readable_bytes(takes()) +
                         " of memory, and the machine leaves " + readable_bytes(takes() - 1) + " of 8.0 GiB; "));
}

TEST_F(WeightMemory, NamesTheQuantisationThatWouldFit) {
  open(kernels::DType::f32);
  std::uint64_t values = 0;
  for (const GgufTensor& tensor : file_->tensors()) values += tensor.bytes / 4;
  const auto of_bits = [&](double bits) { return static_cast<std::uint64_t>(bits / 8 * static_cast<double>(values)); };
  EXPECT_THAT(refusal(of_bits(10)), HasSubstr(" and 9.0 would fit: take the model as Q8_0, or give it more memory"));
  EXPECT_THAT(refusal(of_bits(6)), HasSubstr(" and 5.4 would fit: take the model as Q4_K_M"));
  EXPECT_THAT(refusal(of_bits(5)), HasSubstr("; take a smaller model, or give it more memory"));
}

TEST_F(WeightMemory, NamesThePrecisionThatWouldFit) {
  open(kernels::DType::q8_0);
  const std::uint64_t exact = takes(kernels::Precision::exact);
  ASSERT_LT(takes(), exact);
  EXPECT_THAT(refusal(exact - 1, kernels::Precision::exact),
              HasSubstr("; with --precision fast they take " + readable_bytes(takes()) + ", which fits"));
}

}  // namespace
}  // namespace headwater::model
