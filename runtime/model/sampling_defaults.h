#pragma once
// How tokens are chosen where a request does not say: as the model's file wants it.

#include <string>
#include <vector>

#include "headwater/request.h"
#include "model/gguf.h"

namespace headwater::model {

struct SamplingDefaults {
  SamplingParams params;              ///< the usual defaults, with temperature, top_k, top_p and min_p of the file
  std::vector<std::string> warnings;  ///< what the file names and is left out, a sentence each
};

/// Reads `general.sampling.temp`, `.top_k`, `.top_p` and `.min_p`, where the file has them. A value of another type,
/// or one that no request could ask for, counts as not there.
SamplingDefaults sampling_defaults(const GgufFile& file);

/// "temperature 0.6, top_k 20": what is not as usual, and the temperature always. Of temperature, top_k, top_p, min_p.
std::string describe_defaults(const SamplingParams& params);

}  // namespace headwater::model
