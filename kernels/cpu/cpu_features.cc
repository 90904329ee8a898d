#include "kernels/cpu/cpu_features.h"

#include <cpuid.h>
#include <hwy/targets.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace headwater::kernels::cpu {
namespace {

/// The system keeps the large tile registers of a process only if it has asked for them.
/// Source: Linux, Documentation/arch/x86/xstate.rst.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// What the CPUID instruction says of a leaf; zeros where the processor has no such leaf.
struct CpuId {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;

  CpuId(unsigned leaf, unsigned subleaf) { (void)__get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx); }
};

/// GCC 12's __builtin_cpu_supports() does not know AMX.
bool has_amx_instructions() {
  constexpr unsigned kWanted = 1U << 22U | 1U << 24U | 1U << 25U;  // AMX-BF16, AMX-TILE, AMX-INT8
  return (CpuId(7, 0).edx & kWanted) == kWanted;
}

/// Nor AVX-VNNI.
bool has_avx_vnni_instructions() { return (CpuId(7, 1).eax & (1U << 4U)) != 0; }

/// Clang 16's __builtin_cpu_supports() does not know F16C.
bool has_half_conversions() { return (CpuId(1, 0).ecx & (1U << 29U)) != 0; }

CpuFeatures look() {
  __builtin_cpu_init();
  CpuFeatures found;
  found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_half_conversions();
  found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  found.avx512_vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
  found.avx512_bf16 = found.avx512 && __builtin_cpu_supports("avx512bf16");
  // Zen 4 does one VDPBF16PS of 512 bits a cycle, or one FMA. Xeons do one VDPBF16PS in the time of four FMAs, by what
  // others say.
  found.fast_bf16_dot = found.avx512_bf16 && __builtin_cpu_is("amd");
  found.amx = found.avx512_vnni && found.avx512_bf16 && __builtin_cpu_supports("avx512vbmi") &&
              has_amx_instructions() && may_use_tiles();
  found.avx_vnni = found.avx2 && has_avx_vnni_instructions();
  return found;
}

/// What Highway must not choose for such a processor. From VNNI on there are machines that have all that it knows.
std::int64_t beyond(CpuKind kind) {
  std::int64_t targets = 0;
  if (kind < CpuKind::avx512_vnni) targets |= HWY_AVX3_DL;
  if (kind < CpuKind::avx512) targets |= HWY_AVX3;
  if (kind < CpuKind::avx2) targets |= HWY_AVX2;
  return targets;
}

std::int64_t choose_targets() {
  const std::int64_t targets = hwy::SupportedTargets();
  hwy::GetChosenTarget().Update(targets);
  return targets;
}

CpuChoice choose() {
  const char* wanted = std::getenv("HEADWATER_CPU");  // NOLINT(concurrency-mt-unsafe): nothing here sets variables
  CpuChoice choice = choose_cpu(look(), wanted == nullptr ? "" : wanted);
  if (choice.forced) {
    hwy::DisableTargets(beyond(choice.kind));
    choose_targets();  // something may have been computed before
  }
  return choice;
}

}  // namespace

const CpuChoice& cpu_choice() {
  static const CpuChoice choice = choose();
  return choice;
}

std::int64_t highway_target_bits() {
  (void)cpu_choice();
  return choose_targets();
}

}  // namespace headwater::kernels::cpu
