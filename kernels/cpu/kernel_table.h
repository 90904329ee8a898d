#pragma once
// Which kernel does what, by kind of processor: the one place that decides. What Highway compiles for every instruction
// set chooses itself, within the limits of cpu_features.h.

#include <cstddef>
#include <string_view>
#include <vector>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu_kind.h"
#include "kernels/cpu/grouped_rows.h"
#include "kernels/cpu/product.h"
#include "kernels/processor.h"

namespace headwater::kernels::cpu {

/// A kernel, and what people are told of it.
template <class Run>
struct Named {
  std::string_view name;
  Run run;
};

struct KernelTable {
  /// few_rows and many_rows give the same bits.
  Named<ProductKernel> few_rows;
  bool few_gate;                   ///< whether few_rows and grouped do gated products
  Named<ProductKernel> many_rows;  ///< better from min_rows on; takes rows in tiles, and gates; may be null
  std::size_t min_rows;
  Named<ProductKernel> grouped;  ///< for rows rounded in groups
  bool grouped_pays;             ///< whether prompts are faster by it than by the others
  Named<decltype(&quantize_row_portable)> round_row;
  Named<decltype(&quantize_grouped_row_avx512)> round_grouped_row;
  Named<AttentionPath> attention;  ///< of heads that it takes
};

/// The kernels that such a processor runs best. For any kind on any machine: nothing is run.
KernelTable make_kernel_table(const CpuFeatures& has);

/// Those of cpu_features(). For any thread.
const KernelTable& kernel_table();

/// What kernel_table(), Highway and oneDNN have chosen.
std::vector<KernelChoice> describe_kernels();

}  // namespace headwater::kernels::cpu
