#pragma once
// How many tokens a format of the KV cache holds in a given memory.

#include <cstdint>
#include <optional>

#include "kernels/kv_format.h"
#include "model/architecture.h"

namespace headwater::eval {

struct KvRoom {
  std::uint64_t tokens = 0;    ///< of one long sequence, in whole blocks
  double bytes_per_token = 0;  ///< of a block; where layers have windows, the memory over those tokens
};

/// As a server divides `memory`. Nothing: the format cannot hold the model's heads.
std::optional<KvRoom> kv_room(const model::Architecture& model, const kernels::KvFormat& format, std::uint64_t memory);

}  // namespace headwater::eval
