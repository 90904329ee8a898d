#pragma once
// The `llama` architecture: RMSNorm, rotary embedding, grouped-query attention, SwiGLU.
// Source: Touvron et al., "LLaMA: open and efficient foundation language models", 2023.

#include <memory>

#include "model/architecture.h"

namespace headwater::model {

Result<ModelShape> llama_shape(const GgufFile& file);
Result<std::unique_ptr<Architecture>> load_llama(std::shared_ptr<const GgufFile> file,
                                                 std::shared_ptr<kernels::Backend> backend);

}  // namespace headwater::model
