#pragma once
// Computes any model that a DecoderSpec describes (decoder_spec.h).

#include <memory>

#include "model/architecture.h"

namespace headwater::model {

/// Errors: those of read_decoder_spec(); missing or misshapen tensors.
Result<std::unique_ptr<Architecture>> load_decoder(std::shared_ptr<const GgufFile> file,
                                                   std::shared_ptr<kernels::Backend> backend);

}  // namespace headwater::model
