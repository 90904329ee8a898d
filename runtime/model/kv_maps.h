#pragma once
// What a learning run has found for a model's KV heads, and what of it a format of the cache takes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace headwater::model {

/// Changes with whatever gives other numbers: the text, the statistics, the algebra.
inline constexpr std::uint32_t kKvLearningVersion = 1;

struct KvSizes {
  std::uint32_t n_layers = 0;
  std::uint32_t n_kv_heads = 0;  ///< of each layer
  std::uint32_t head_dim = 0;

  std::size_t heads() const { return std::size_t{n_layers} * n_kv_heads; }
  bool operator==(const KvSizes&) const = default;
};

/// Everything is finite. Without maps, the model's heads are too large for them: then a format has none.
struct LearntKvMaps {
  KvSizes sizes;
  std::vector<float> centres;        ///< [heads, head_dim]
  std::vector<float> keys, queries;  ///< [heads, head_dim, head_dim]; see HeadMaps; or empty
  std::vector<float> scales;         ///< [heads]
  std::vector<float> value_scales;   ///< [heads], powers of two
};

/// Whether maps of that size are found at all.
bool has_maps(const KvSizes& sizes);

/// Bytes that the maps of a quantised format take: what was learnt, and what the arena has of it.
std::uint64_t kv_maps_bytes(const KvSizes& sizes);

/// centre: whether keys are centred; the format alone does not say.
kernels::KvMaps maps_of_format(const LearntKvMaps& learnt, const kernels::KvFormat& format, bool centre);

/// 16 hexadecimal digits that name the maps.
std::string digest_of(const kernels::KvMaps& maps);

}  // namespace headwater::model
