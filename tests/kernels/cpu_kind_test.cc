#include "kernels/cpu/cpu_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace headwater::kernels::cpu {
namespace {

using testing::HasSubstr;

/// All that a processor of that kind has.
CpuFeatures all_of(CpuKind kind) { return limit_to(kind, {true, true, true, true, true}); }

TEST(CpuKind, IsTheHighestOfWhichAProcessorHasEverything) {
  for (std::size_t i = 0; i < kCpuKinds.size(); ++i) {
    const auto kind = static_cast<CpuKind>(i);
    EXPECT_EQ(kind_of(all_of(kind)), kind) << kCpuKinds[i];
  }
  CpuFeatures gap = all_of(CpuKind::avx512_bf16);
  gap.avx512_vnni = false;
  EXPECT_EQ(kind_of(gap), CpuKind::avx512) << "what comes after something that is missing does not count";
}

TEST(CpuKind, EachHasWhatThoseBeforeItHave) {
  CpuFeatures before{};
  for (std::size_t i = 1; i < kCpuKinds.size(); ++i) {
    const auto kind = static_cast<CpuKind>(i);
    const CpuFeatures has = all_of(kind);
    EXPECT_NE(has, before);
    EXPECT_EQ(limit_to(static_cast<CpuKind>(i - 1), has), before);
    before = has;
  }
  EXPECT_EQ(before, (CpuFeatures{true, true, true, true, true}));
}

TEST(CpuKind, AvxVnniMakesNoKindAndIsLeftOutWhereOneIsNamed) {
  CpuFeatures found = all_of(CpuKind::avx2);
  found.avx_vnni = true;
  EXPECT_EQ(kind_of(found), CpuKind::avx2);
  EXPECT_TRUE(choose_cpu(found, "").features.avx_vnni);
  EXPECT_EQ(choose_cpu(found, "avx2").features, all_of(CpuKind::avx2));
}

TEST(CpuKind, LowerOnesHaveNoFastPairsOfBfloat16) {
  CpuFeatures zen4 = all_of(CpuKind::avx512_bf16);
  zen4.fast_bf16_dot = true;
  EXPECT_EQ(kind_of(zen4), CpuKind::avx512_bf16);
  EXPECT_TRUE(limit_to(CpuKind::avx512_bf16, zen4).fast_bf16_dot);
  EXPECT_FALSE(limit_to(CpuKind::avx512_vnni, zen4).fast_bf16_dot);
  EXPECT_EQ(limit_to(CpuKind::plain, zen4), CpuFeatures{});
}

TEST(CpuKind, NoNameLeavesTheMachinesOwn) {
  CpuFeatures found = all_of(CpuKind::avx512);
  found.avx512_bf16 = true;
  const CpuChoice choice = choose_cpu(found, "");
  EXPECT_EQ(choice.features, found);
  EXPECT_EQ(choice.kind, CpuKind::avx512);
  EXPECT_FALSE(choice.forced);
  EXPECT_EQ(choice.wrong, "");
}

TEST(CpuKind, ANameLeavesWhatThatKindHas) {
  const CpuFeatures found = all_of(CpuKind::avx512_bf16);
  for (std::size_t i = 0; i <= static_cast<std::size_t>(CpuKind::avx512_bf16); ++i) {
    const auto kind = static_cast<CpuKind>(i);
    const CpuChoice choice = choose_cpu(found, kCpuKinds[i]);
    EXPECT_EQ(choice.features, all_of(kind)) << kCpuKinds[i];
    EXPECT_EQ(choice.kind, kind);
    EXPECT_EQ(choice.machine, CpuKind::avx512_bf16);
    EXPECT_TRUE(choice.forced);
    EXPECT_EQ(choice.wrong, "");
  }
  EXPECT_EQ(choose_cpu(found, "vnni").kind, CpuKind::avx512_vnni);
  EXPECT_EQ(choose_cpu(found, "bf16").kind, CpuKind::avx512_bf16);
}

TEST(CpuKind, WhatTheMachineLacksIsRefusedWithWhatItHas) {
  const CpuFeatures found = all_of(CpuKind::avx512);
  for (const char* higher : {"avx512_vnni", "vnni", "bf16", "amx"}) {
    const CpuChoice choice = choose_cpu(found, higher);
    EXPECT_THAT(choice.wrong, HasSubstr("this machine cannot run ")) << higher;
    EXPECT_TRUE(choice.wrong.ends_with("this machine runs plain, avx2, avx512")) << choice.wrong;
    EXPECT_EQ(choice.features, found) << "as if nothing had been named";
    EXPECT_FALSE(choice.forced);
  }
}

TEST(CpuKind, AnUnknownNameIsRefusedWithThoseThatThereAre) {
  for (const char* unknown : {"avx", "AVX2", "512", " avx2", "avx512_", "sse4"}) {
    const CpuChoice choice = choose_cpu(all_of(CpuKind::avx2), unknown);
    EXPECT_EQ(choice.wrong, "\"" + std::string(unknown) +
                                "\" is no kind of processor (plain, avx2, avx512, avx512_vnni, avx512_bf16, amx); this "
                                "machine runs plain, avx2");
    EXPECT_EQ(choice.features, all_of(CpuKind::avx2));
    EXPECT_FALSE(choice.forced);
  }
}

TEST(CpuKind, ALongOrUnprintableNameIsShownInShort) {
  const std::string wrong = choose_cpu({}, "\x1b[31m" + std::string(1000, 'x')).wrong;
  EXPECT_LE(wrong.size(), 200U);
  EXPECT_TRUE(std::ranges::all_of(wrong, [](char c) { return c >= ' ' && c <= '~'; })) << wrong;
}

}  // namespace
}  // namespace headwater::kernels::cpu
