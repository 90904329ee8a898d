#include "kernels/cpu/kernel_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/cpu/cpu_features.h"

namespace headwater::kernels::cpu {
namespace {

KernelTable table_of(CpuKind kind) { return make_kernel_table(limit_to(kind, {true, true, true, true, true})); }

TEST(KernelTable, GivesEveryKindOfProcessorTheBestThatItRuns) {
  const KernelTable plain = table_of(CpuKind::plain);
  EXPECT_EQ(plain.few_rows.run, product_reference);
  EXPECT_EQ(plain.round_row.run, quantize_row_portable);
  EXPECT_EQ(plain.round_grouped_row.run, reference::quantize_grouped_row);
  const KernelTable avx2 = table_of(CpuKind::avx2);
  EXPECT_EQ(avx2.few_rows.run, product_avx2);
  EXPECT_EQ(avx2.round_row.run, quantize_row_portable);
  EXPECT_EQ(avx2.grouped.run, product_grouped_avx2);
  EXPECT_EQ(avx2.round_grouped_row.run, quantize_grouped_row_avx2);
  const KernelTable avx512 = table_of(CpuKind::avx512);
  EXPECT_EQ(avx512.few_rows.run, product_avx2);
  EXPECT_EQ(avx512.round_row.run, quantize_row_avx512);
  EXPECT_EQ(avx512.grouped.run, product_grouped_avx2);
  EXPECT_EQ(avx512.round_grouped_row.run, quantize_grouped_row_avx512);
  EXPECT_EQ(avx512.attention.run, AttentionPath::generic);
  for (const CpuKind kind : {CpuKind::avx512_vnni, CpuKind::avx512_bf16, CpuKind::amx}) {
    EXPECT_EQ(table_of(kind).few_rows.run, product_vnni) << name(kind);
    EXPECT_EQ(table_of(kind).grouped.run, product_grouped_vnni) << name(kind);
    EXPECT_NE(table_of(kind).attention.run, AttentionPath::generic) << name(kind);
  }
}

TEST(KernelTable, AvxVnniIsForProcessorsWithoutThatOfAvx512) {
  CpuFeatures has = limit_to(CpuKind::avx2, {true});
  has.avx_vnni = true;
  EXPECT_EQ(make_kernel_table(has).grouped.run, product_grouped_avxvnni);
  has = limit_to(CpuKind::avx512_vnni, {true, true, true});
  has.avx_vnni = true;
  EXPECT_EQ(make_kernel_table(has).grouped.run, product_grouped_vnni);
}

TEST(KernelTable, TilesAreForAmxAlone) {
  for (std::size_t i = 0; i < kCpuKinds.size(); ++i) {
    const auto kind = static_cast<CpuKind>(i);
    const KernelTable table = table_of(kind);
    const bool amx = kind == CpuKind::amx;
    EXPECT_EQ(table.many_rows.run, amx ? product_amx : nullptr) << kCpuKinds[i];
    EXPECT_EQ(table.min_rows, amx ? 4 : SIZE_MAX) << kCpuKinds[i];
    EXPECT_EQ(table.attention.run == AttentionPath::amx, amx) << kCpuKinds[i];
  }
}

TEST(KernelTable, ProductsOfEightBitsPayWhereVectorsMultiply) {
  EXPECT_FALSE(table_of(CpuKind::plain).grouped_pays);
  for (const CpuKind kind : {CpuKind::avx2, CpuKind::avx512, CpuKind::avx512_vnni, CpuKind::avx512_bf16}) {
    EXPECT_TRUE(table_of(kind).grouped_pays) << name(kind);
  }
  EXPECT_FALSE(table_of(CpuKind::amx).grouped_pays);
}

TEST(KernelTable, ProductsGateWithTheInstructionSetThatHighwayHasForIt) {
  EXPECT_FALSE(table_of(CpuKind::plain).few_gate);
  EXPECT_TRUE(table_of(CpuKind::avx2).few_gate);
  EXPECT_FALSE(table_of(CpuKind::avx512).few_gate) << "its products are in AVX2";
  EXPECT_TRUE(table_of(CpuKind::avx512_vnni).few_gate);
}

TEST(KernelTable, PairsOfBfloat16AreMultipliedWhereThatIsFasterThanFloats) {
  CpuFeatures has = limit_to(CpuKind::avx512_bf16, {true, true, true, true, true});
  EXPECT_EQ(make_kernel_table(has).attention.run, AttentionPath::vnni);
  has.fast_bf16_dot = true;
  EXPECT_EQ(make_kernel_table(has).attention.run, AttentionPath::bf16);
  EXPECT_EQ(make_kernel_table(limit_to(CpuKind::avx512_bf16, has)).attention.run, AttentionPath::bf16);
  EXPECT_EQ(make_kernel_table(limit_to(CpuKind::avx512_vnni, has)).attention.run, AttentionPath::vnni);
  EXPECT_EQ(make_kernel_table(limit_to(CpuKind::avx2, has)).attention.run, AttentionPath::generic);
  has.amx = true;
  EXPECT_EQ(make_kernel_table(has).attention.run, AttentionPath::amx);
}

TEST(KernelTable, IsThatOfThisProcessAndSaysNothingBeyond) {
  EXPECT_EQ(kernel_table().few_rows.run, make_kernel_table(cpu_features()).few_rows.run);
  const auto said = [](const std::string& word) {
    return std::ranges::any_of(
        describe_kernels(), [&](const KernelChoice& choice) { return choice.kernel.find(word) != std::string::npos; });
  };
  const CpuFeatures& has = cpu_features();
  EXPECT_EQ(said("AVX-512 VNNI"), has.avx512_vnni);
  EXPECT_EQ(said("AMX"), has.amx);
  EXPECT_EQ(said("AVX-512 BF16"), has.fast_bf16_dot && !has.amx);
  EXPECT_LE(said("AVX3"), has.avx512);
  EXPECT_TRUE(said("Highway"));
}

TEST(KernelTable, NamesEveryWorkOnce) {
  std::vector<std::string> works;
  for (const auto& [work, kernel] : describe_kernels()) {
    EXPECT_NE(kernel, "") << work;
    if (!work.starts_with(' ')) works.push_back(work);
  }
  std::ranges::sort(works);
  EXPECT_EQ(std::ranges::adjacent_find(works), works.end());
  EXPECT_GE(works.size(), 8U);
}

}  // namespace
}  // namespace headwater::kernels::cpu
