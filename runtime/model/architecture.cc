#include "model/architecture.h"

#include <algorithm>
#include <utility>

#include "model/decoder.h"
#include "model/decoder_spec.h"
#include "model/decoder_tensors.h"
#include "model/model_tensors.h"
#include "model/supported.h"
#include "model/weight_memory.h"

namespace headwater::model {

Result<std::unique_ptr<Architecture>> Architecture::load(const std::shared_ptr<const GgufFile>& file,
                                                         std::shared_ptr<kernels::Backend> backend,
                                                         std::uint32_t context, Tell tell) {
  if (auto supported = check_supported(*file); !supported) return supported.error();
  const auto spec = read_decoder_spec(*file, context);
  if (!spec) return spec.error();
  if (auto there = check_tensors(*file, *spec); !there) return there.error();
  if (auto fits = check_weight_memory(*file, *backend); !fits) return fits.error();
  return load_decoder(file, std::move(backend), context, std::move(tell));
}

std::uint64_t Architecture::weight_bytes(const GgufFile& file, const kernels::Backend& backend) {
  struct Sum {
    std::uint64_t kept = 0, under_way = 0;
  };
  Sum ends, layers;  // the embedding and the output matrix, which are loaded first, and give back what was under way
  for (const GgufTensor& tensor : file.tensors()) {
    const bool matrix = tensor.dims.size() > 1;
    const kernels::HostTensor view{nullptr, tensor.type, matrix ? tensor.dims[1] : 1, tensor.dims[0]};
    std::uint64_t loaded = matrix ? backend.matrix_bytes(view) : tensor.dims[0] * sizeof(float);
    const bool embedding = tensor.name == "token_embd.weight";
    if (embedding) {
      const bool tied = is_tied(file);
      loaded = (tied ? loaded : 0) + backend.table_bytes(view, tied);
    }
    Sum& sum = embedding || tensor.name == "output.weight" ? ends : layers;
    sum.kept += loaded;
    sum.under_way = std::max(sum.under_way, tensor.bytes + loaded);
  }
  return ends.kept + std::max(ends.under_way, layers.kept + layers.under_way);
}

Result<ModelShape> Architecture::shape_of(const GgufFile& file) {
  if (auto supported = check_supported(file); !supported) return supported.error();
  auto spec = read_decoder_spec(file);
  if (!spec) return spec.error();
  return spec->shape;
}

}  // namespace headwater::model
