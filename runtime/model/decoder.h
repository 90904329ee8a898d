#pragma once
// Computes any model that a DecoderSpec describes (decoder_spec.h).

#include <memory>

#include "model/architecture.h"

namespace headwater::model {

/// context, tell: see Architecture::load(). Errors: those of that and of load_weights(). REQUIRES: check_tensors(file,
/// spec).
Result<std::unique_ptr<Architecture>> load_decoder(const std::shared_ptr<const GgufFile>& file,
                                                   std::shared_ptr<kernels::Backend> backend, std::uint32_t context,
                                                   Tell tell = {});

}  // namespace headwater::model
