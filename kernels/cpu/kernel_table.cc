#include "kernels/cpu/kernel_table.h"

#include <hwy/highway.h>

#include <cstdint>
#include <string>
#include <utility>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/float_product.h"
#include "kernels/cpu/half_matrix.h"

namespace headwater::kernels::cpu {
namespace {

constexpr std::string_view kAmx = "AMX";
constexpr std::string_view kVnni = "AVX-512 VNNI";
constexpr std::string_view kBf16 = "AVX-512 BF16";
constexpr std::string_view kAvx512 = "AVX-512";
constexpr std::string_view kAvx2 = "AVX2";
constexpr std::string_view kAvxVnni = "AVX-VNNI";
constexpr std::string_view kReference = "plain C++";
constexpr std::string_view kHighway = "Highway";
/// From so many rows on tiles are faster than vectors.
constexpr std::size_t kTilesPay = 4;

Named<ProductKernel> few_rows(const CpuFeatures& has) {
  if (has.avx512_vnni) return {kVnni, product_vnni};
  if (has.avx2) return {kAvx2, product_avx2};
  return {kReference, product_reference};
}

Named<ProductKernel> grouped(const CpuFeatures& has) {
  if (has.avx512_vnni) return {kVnni, product_grouped_vnni};
  if (has.avx_vnni) return {kAvxVnni, product_grouped_avxvnni};
  if (has.avx2) return {kAvx2, product_grouped_avx2};
  return {kReference, product_grouped_reference};
}

/// With the instruction set that Highway calls, of those that its kernels are compiled for.
std::string highway() {
  const std::int64_t targets = highway_target_bits() & HWY_TARGETS;
  return std::string(kHighway) + " " + hwy::TargetName(targets & -targets);
}

std::string shown(std::string_view name) { return name == kHighway ? highway() : std::string(name); }

}  // namespace

KernelTable make_kernel_table(const CpuFeatures& has) {
  KernelTable table{};
  table.few_rows = few_rows(has);
  // Each has the bits of what Highway's silu_mul() gives with the same instruction set.
  table.few_gate = has.avx512_vnni || (has.avx2 && !has.avx512);
  table.many_rows = has.amx ? Named<ProductKernel>{kAmx, product_amx} : Named<ProductKernel>{"", nullptr};
  table.min_rows = has.amx ? kTilesPay : SIZE_MAX;
  table.grouped = grouped(has);
  table.grouped_pays = has.avx2 && !has.amx;
  table.round_row = {kHighway, quantize_row_portable};
  if (has.avx512) table.round_row = {kAvx512, quantize_row_avx512};
  table.round_grouped_row = {kReference, reference::quantize_grouped_row};
  if (has.avx2) table.round_grouped_row = {kAvx2, quantize_grouped_row_avx2};
  if (has.avx512) table.round_grouped_row = {kAvx512, quantize_grouped_row_avx512};
  table.attention = {kHighway, AttentionPath::generic};
  if (has.avx512_vnni) table.attention = {kVnni, AttentionPath::vnni};
  if (has.avx512_vnni && has.avx512_bf16 && has.fast_bf16_dot) table.attention = {kBf16, AttentionPath::bf16};
  if (has.amx) table.attention = {kAmx, AttentionPath::amx};
  return table;
}

const KernelTable& kernel_table() {
  static const KernelTable table = make_kernel_table(cpu_features());
  return table;
}

std::vector<KernelChoice> describe_kernels() {
  const KernelTable& table = kernel_table();
  std::vector<KernelChoice> all;
  const auto add = [&](std::string work, std::string kernel) { all.push_back({std::move(work), std::move(kernel)}); };
  add("products of quantised weights, inputs of 16 bits", shown(table.few_rows.name));
  if (table.many_rows.run != nullptr) {
    add("  from " + std::to_string(table.min_rows) + " rows on", shown(table.many_rows.name));
  }
  add("  rounding of their inputs", shown(table.round_row.name));
  add("products of quantised weights, inputs of 8 bits",
      table.grouped_pays ? shown(table.grouped.name) : "not used: 16 bits are as fast here");
  if (table.grouped_pays) add("  rounding of their inputs", shown(table.round_grouped_row.name));
  add("products of other weights", HalfMatrix::pays()    ? std::string(kAvx2) + ", weights of float16"
                                   : has_bf16_products() ? "oneDNN, bfloat16"
                                                         : "oneDNN, float32");
  const bool vnni = table.attention.run == AttentionPath::vnni;
  add("attention", vnni ? highway() : shown(table.attention.name));
  if (vnni || table.attention.run == AttentionPath::bf16) add("  to a cache in 8 or 4 bits", std::string(kVnni));
  if (table.attention.run != AttentionPath::generic) add("  with a window or a cap, or of odd heads", highway());
  for (const char* work : {"rotary embedding, keys and values into the cache", "norms, sums and activations",
                           "conversions to bfloat16", "search of logits"}) {
    add(work, highway());
  }
  add("look-up of embeddings", std::string(kReference));
  return all;
}

}  // namespace headwater::kernels::cpu
