#include "model/weight_memory.h"

#include <cstdio>
#include <string>

#include "model/architecture.h"
#include "model/model_info.h"

namespace headwater::model {
namespace {

/// What people's files are quantised as, and what a weight then takes.
struct Quantisation {
  const char* name;
  double bits;
};
constexpr Quantisation kQuantisations[] = {{"Q8_0", 8.5}, {"Q6_K", 6.6}, {"Q5_K_M", 5.7}, {"Q4_K_M", 4.9}};

std::uint64_t n_values(const GgufFile& file) {
  std::uint64_t sum = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    sum += tensor.bytes / kernels::block_bytes(tensor.type) * kernels::block_values(tensor.type);
  }
  return sum;
}

std::string one_digit(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

/// The way out.
std::string what_fits(const GgufFile& file, std::uint64_t takes, std::uint64_t available) {
  const auto fast = kernels::make_cpu_backend(1, kernels::Precision::fast);
  const std::uint64_t as_fast = Architecture::weight_bytes(file, *fast);
  if (as_fast < takes && as_fast <= available) {
    return "with --precision fast they take " + readable_bytes(as_fast) + ", which fits";
  }
  constexpr double kLeave = 0.9;  // for the cache, and what is computed
  const auto values = static_cast<double>(n_values(file));
  const double fits = kLeave * 8 * static_cast<double>(available) / values;
  const double has = 8 * static_cast<double>(file.file_bytes()) / values;
  for (const Quantisation& quantisation : kQuantisations) {
    if (quantisation.bits >= fits || quantisation.bits >= has) continue;
    return "the file has " + one_digit(has) + " bits a weight, and " + one_digit(fits) +
           " would fit: take the model as " + quantisation.name + ", or give it more memory";
  }
  return "take a smaller model, or give it more memory";
}

}  // namespace

Result<void> check_weight_memory(const GgufFile& file, const kernels::Backend& backend,
                                 const std::vector<kernels::MemoryLimit>& limits) {
  const std::uint64_t takes = Architecture::weight_bytes(file, backend);
  const kernels::MemoryLimit limit = kernels::least_available(limits);
  if (takes <= limit.available) return {};
  return Error{ErrorCode::unavailable,
               file.path() + ": the weights take " + readable_bytes(takes) + " of memory, and " + limit.whose +
                   " leaves " + readable_bytes(limit.available) + " of " + readable_bytes(limit.limit) + "; " +
                   what_fits(file, takes, limit.available),
               "model"};
}

}  // namespace headwater::model
