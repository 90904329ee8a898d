#include "kernels/cpu/cpu_kind.h"

#include <optional>

namespace headwater::kernels::cpu {
namespace {

std::optional<CpuKind> parse_kind(std::string_view wanted) {
  constexpr std::string_view kFamily = "avx512_";
  for (std::size_t i = 0; i < kCpuKinds.size(); ++i) {
    const std::string_view full = kCpuKinds[i];
    const bool in_short = full.starts_with(kFamily) && full.substr(kFamily.size()) == wanted;
    if (full == wanted || in_short) return static_cast<CpuKind>(i);
  }
  return std::nullopt;
}

/// "plain, avx2, avx512"
std::string up_to(CpuKind last) {
  std::string names;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(last); ++i) {
    names += (i == 0 ? "" : ", ") + std::string(kCpuKinds[i]);
  }
  return names;
}

}  // namespace

CpuKind kind_of(const CpuFeatures& features) {
  const bool has[] = {features.avx2, features.avx512, features.avx512_vnni, features.avx512_bf16, features.amx};
  std::uint8_t kind = 0;
  for (const bool next : has) {
    if (!next) break;
    ++kind;
  }
  return static_cast<CpuKind>(kind);
}

CpuFeatures limit_to(CpuKind kind, const CpuFeatures& features) {
  CpuFeatures left = features;
  left.avx2 = left.avx2 && kind >= CpuKind::avx2;
  left.avx512 = left.avx512 && kind >= CpuKind::avx512;
  left.avx512_vnni = left.avx512_vnni && kind >= CpuKind::avx512_vnni;
  left.avx512_bf16 = left.avx512_bf16 && kind >= CpuKind::avx512_bf16;
  left.amx = left.amx && kind >= CpuKind::amx;
  left.avx_vnni = false;
  left.fast_bf16_dot = left.fast_bf16_dot && left.avx512_bf16;
  return left;
}

CpuChoice choose_cpu(const CpuFeatures& found, std::string_view wanted) {
  CpuChoice choice{found, kind_of(found), kind_of(found), false, ""};
  if (wanted.empty()) return choice;
  const std::optional<CpuKind> kind = parse_kind(wanted);
  const std::string way_out = "; this machine runs " + up_to(choice.machine);
  if (!kind) {
    // Whatever bytes an environment has may end in a terminal.
    std::string shown(wanted.substr(0, 32));
    for (char& c : shown) c = c < ' ' || c > '~' ? '?' : c;
    choice.wrong = "\"" + shown + "\" is no kind of processor (" + up_to(CpuKind::amx) + ")" + way_out;
  } else if (*kind > choice.machine) {
    choice.wrong = "this machine cannot run " + std::string(name(*kind)) + way_out;
  } else {
    choice.features = limit_to(*kind, found);
    choice.kind = *kind;
    choice.forced = true;
  }
  return choice;
}

}  // namespace headwater::kernels::cpu
