#pragma once
// The kinds of x86-64 processors that there are kernels for, each with all that those before it have, and the choice
// of a lower one than the machine's.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace headwater::kernels::cpu {

/// What a processor and its system offer, beyond plain x86-64.
struct CpuFeatures {
  bool avx2 = false;         ///< AVX2, FMA and F16C
  bool avx512 = false;       ///< AVX-512 F, BW, DQ and VL
  bool avx512_vnni = false;  ///< and VNNI
  bool avx512_bf16 = false;  ///< and BF16
  bool amx = false;          ///< AMX tiles, INT8 and BF16; the system lets this process use them
  /// AVX-VNNI, with which some processors make up for what they lack of AVX-512. It makes no kind: the order of kinds
  /// has no place for it. So whoever names a kind, goes without.
  bool avx_vnni = false;
  /// With avx512_bf16: VDPBF16PS makes twice the products of float32 in the same time, not half as many.
  bool fast_bf16_dot = false;

  bool operator==(const CpuFeatures&) const = default;
};

enum class CpuKind : std::uint8_t { plain, avx2, avx512, avx512_vnni, avx512_bf16, amx };

/// In the order of the enum.
inline constexpr std::array<std::string_view, 6> kCpuKinds = {"plain",       "avx2",        "avx512",
                                                              "avx512_vnni", "avx512_bf16", "amx"};
inline std::string_view name(CpuKind kind) { return kCpuKinds.at(static_cast<std::size_t>(kind)); }

/// The highest kind of which the processor has everything.
CpuKind kind_of(const CpuFeatures& features);

/// What of it a processor has that is of that kind and no more.
CpuFeatures limit_to(CpuKind kind, const CpuFeatures& features);

/// What kernels are chosen by.
struct CpuChoice {
  CpuFeatures features;
  CpuKind kind = CpuKind::plain;
  CpuKind machine = CpuKind::plain;
  bool forced = false;  ///< a kind was named
  std::string wrong;    ///< why what was named cannot be had, a sentence; then it is as if none had been. Empty: it can
};

/// found: what the machine has. wanted: a name of kCpuKinds, or without "avx512_"; empty: the machine's own kind.
CpuChoice choose_cpu(const CpuFeatures& found, std::string_view wanted);

}  // namespace headwater::kernels::cpu
