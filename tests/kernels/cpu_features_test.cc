#include "kernels/cpu/cpu_features.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <string>

#include "kernels/backend.h"
#include "kernels/cpu/float_product.h"
#include "kernels/processor.h"
#include "tests/kernels/values.h"

namespace headwater::kernels::cpu {
namespace {

/// What this run of the tests is forced to.
std::string forced() {
  const char* name = std::getenv("HEADWATER_CPU");
  return name == nullptr ? "" : name;
}

TEST(CpuFeatures, AreThoseOfTheKindThatTheEnvironmentNames) {
  const CpuChoice& choice = cpu_choice();
  ASSERT_EQ(wrong_processor(), "");
  EXPECT_EQ(choice.forced, !forced().empty());
  if (choice.forced) {
    EXPECT_TRUE(name(choice.kind).ends_with(forced())) << name(choice.kind);
    EXPECT_EQ(cpu_features(), limit_to(choice.kind, cpu_features()));
  } else {
    EXPECT_EQ(choice.kind, choice.machine);
  }
}

TEST(CpuFeatures, HighwayAndOneDnnUseNothingBeyondThem) {
  const CpuFeatures& has = cpu_features();
  const std::int64_t targets = highway_target_bits();
  EXPECT_LE((targets & HWY_AVX2) != 0, has.avx2);
  EXPECT_LE((targets & HWY_AVX3) != 0, has.avx512);
  EXPECT_LE((targets & HWY_AVX3_DL) != 0, has.avx512_vnni);
  EXPECT_LE(has_bf16_products(), has.avx512_bf16);
  EXPECT_LE(has.fast_bf16_dot, has.avx512_bf16);
}

TEST(CpuFeatures, HighwayKeepsToThemWhoeverAsksWhatThereIs) {
  (void)processor_report();
  // Its first function is the one that chooses.
  const std::size_t chosen = hwy::GetChosenTarget().GetIndex();
  ASSERT_GT(chosen, 0U) << "nothing is chosen yet";
  EXPECT_NE(highway_target_bits() & std::int64_t{1} << (chosen - 1), 0) << chosen;
}

TEST(CpuFeatures, NumericsNameThem) {
  const std::string numerics = make_cpu_backend(1)->numerics();
  const std::string kind(name(cpu_choice().kind));
  const std::string shown = cpu_choice().kind == CpuKind::avx512_vnni ? "avx512 vnni" : kind;
  EXPECT_NE(numerics.find(" " + shown), std::string::npos) << numerics;
  const CpuFeatures& has = cpu_features();
  EXPECT_EQ(numerics.ends_with(" bf16_attention"), has.fast_bf16_dot && !has.amx) << numerics;
}

}  // namespace
}  // namespace headwater::kernels::cpu
